"""What a stack file says, for those who ask before or beside Pulumi."""

import json
from pathlib import Path
from typing import Any

import yaml


class StackFileError(ValueError):
    """A stack file cannot be read; the message is one line for a person."""


def read(path: Path) -> dict[str, Any]:
    """Return the `config` of a stack file by its full keys, as `mlflow-bench:port`.

    Raises `StackFileError`.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise StackFileError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        why = getattr(error, "problem", None) or "it is not text"
        raise StackFileError(f"{where}: is no YAML: {why}") from None
    config = (content.get("config") or {}) if isinstance(content, dict) else content or {}
    if not isinstance(config, dict):
        raise StackFileError(f"{path}: has no keys below config, as mlflow-bench:port: 5000")
    return {str(key): decoded(value) for key, value in config.items()}


def decoded(value: Any) -> Any:
    """An object may also be written as JSON text, as `pulumi config set` does without --path."""
    if isinstance(value, str) and value.startswith(("[", "{")):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value
