"""Reads a specification from Pulumi's configuration; each mistake becomes one line."""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from infra.specification.deployment import OBJECTS, DeploymentSpec
from infra.specification.error import SpecError
from infra.stack_file import decoded, read

PROJECT = "mlflow-bench"


def load_spec(
    config: Mapping[str, str],
    folder: Path,
    secret_keys: Collection[str] = (),
    stack_file: Path | None = None,
) -> DeploymentSpec:
    """Return the specification that Pulumi's `config` describes.

    `config` holds full keys (`mlflow-bench:port`) and values as text, structured ones as
    JSON; keys of other namespaces belong to providers and are left alone. Relative paths
    start at `folder`. `secret_keys` are the full keys whose values are encrypted in the stack
    file, wholly or in part; which part, only `stack_file` tells, if it is the one in use. Raises
    `SpecError` with one line for each mistake; no line holds a secret.
    """
    prefix = f"{PROJECT}:"
    values: dict[str, Any] = {
        key.removeprefix(prefix): decoded(value)
        for key, value in config.items()
        if key.startswith(prefix)
    }
    files = ("cert", "key")
    if isinstance(given := values.get("mlflow"), str) and not _is_release(given, folder):
        values["mlflow"] = folder / Path(given).expanduser()
    for place, key in (
        *((values.get(key), "ca") for key in OBJECTS),
        *((values.get("tls"), name) for name in files),
    ):
        if isinstance(place, dict) and isinstance(place.get(key), str):
            place[key] = folder / Path(place[key]).expanduser()
    hidden = {key.removeprefix(prefix) for key in secret_keys}
    try:
        spec = DeploymentSpec.model_validate(values)
    except ValidationError as error:
        lines = "\n".join(_lines(error, hidden))
        for key in hidden & values.keys():
            # Reasons that compare several values quote them.
            if isinstance(values[key], str) and values[key]:
                lines = lines.replace(values[key], "***")
        raise SpecError(lines) from None
    written = _written(stack_file)
    exposed = [
        path
        for path, secret in _secrets(spec).items()
        if path.split(".")[0] not in hidden or _plain_text(written, prefix + path) == secret
    ]
    if exposed:
        raise SpecError(
            "\n".join(
                f"{path}: is plain text in the stack file; replace it, and encrypt the new one: "
                f"pulumi config set --secret --path {path}"
                for path in exposed
            )
        )
    return spec


def _is_release(mlflow: str, folder: Path) -> bool:
    """Tell a release of mlflow, also one that is misspelt, from a path."""
    return not ("/" in mlflow or mlflow.endswith(".whl") or (folder / mlflow).exists())


def _secrets(spec: DeploymentSpec) -> dict[str, str]:
    """Return the secrets that are set, by their paths."""
    return {
        f"{key}.{name}": value.get_secret_value()
        for key in OBJECTS
        if isinstance(model := getattr(spec, key), BaseModel)
        for name, value in model
        if isinstance(value, SecretStr)
    }


def _written(stack_file: Path | None) -> dict[str, Any]:
    """Return the configuration as it stands in a stack file, secrets encrypted."""
    return read(stack_file) if stack_file is not None and stack_file.exists() else {}


def _plain_text(written: object, path: str) -> str | None:
    """Return what is written in plain text at a path, as `mlflow-bench:database.url`."""
    for name in path.split("."):
        written = written.get(name) if isinstance(written, dict) else None
    return None if written is None or isinstance(written, dict) else str(written)


def _lines(error: ValidationError, hidden: Collection[str]) -> list[str]:
    """Return a line for each problem, without the values of the keys in `hidden`."""
    lines = []
    for problem in error.errors(include_url=False):
        own = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else ""
        model, prefix, key = _place(problem["loc"])
        if not key:
            lines.append(f"{prefix}{own}")
            continue
        if problem["type"] == "extra_forbidden":
            lines.append(_unknown(model, prefix, key))
            continue
        # Of an object nothing is shown: it may have secrets in it, encrypted or not.
        secret = prefix or key in hidden or (key in OBJECTS and "{" in str(problem["input"]))
        shown = "" if secret else f" {problem['input']!r}:"
        reason = own or problem["msg"][0].lower() + problem["msg"][1:]
        lines.append(
            f"{prefix}{key}:{shown} {reason}; set it as in: {_command(model, prefix, key)}"
        )
    return lines


def _place(loc: tuple[int | str, ...]) -> tuple[type[BaseModel], str, str]:
    """Return the model that a problem is in, the path to it, and the key; none: all of it."""
    if not loc:
        return DeploymentSpec, "", ""
    first, *rest = map(str, loc)
    kinds = OBJECTS.get(first, {})
    if "" in kinds:
        rest.insert(0, "")
    if not rest or rest[0] not in kinds:
        return DeploymentSpec, "", first
    return kinds[rest[0]], f"{first}.", rest[1] if rest[1:] else ""


def _command(model: type[BaseModel], prefix: str, key: str) -> str:
    """Return the command that sets a key; a key without an example is a secret."""
    examples = model.model_fields[key].examples
    options = "--path " if prefix else ""
    if not examples:
        return f"pulumi config set --secret {options}{prefix}{key}"
    return f"pulumi config set {options}{prefix}{key} {examples[0]}"


def _unknown(model: type[BaseModel], prefix: str, key: str) -> str:
    known = list(model.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {prefix}{close[0]}?" if close else f"known keys: {', '.join(known)}."
    path = "--path " if prefix else ""
    return (
        f"{prefix}{key}: is not a configuration key; {hint} "
        f"Remove it: pulumi config rm {path}{prefix}{key}"
    )
