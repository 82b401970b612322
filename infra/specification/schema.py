"""The JSON Schema of the stack files, for editors.

Written with `python -m infra.specification.schema > stacks/schema.json`.
"""

import json
import sys
from typing import Any

from infra.specification.deployment import DeploymentSpec
from infra.specification.load import PROJECT

_MEMORY = {
    *("mlflow_memory", "postgres_memory", "object_store_memory", "nfs_memory"),
    "trace_jobs_memory",
}


_PULUMIS_OWN: dict[str, dict[str, Any]] = {
    "secretsprovider": {"type": "string", "description": "What encrypts: `passphrase`, a KMS key."},
    "encryptedkey": {"type": "string", "description": "The data key, encrypted by a KMS."},
    "encryptionsalt": {"type": "string", "description": "The passphrase's salt."},
    "environment": {
        "description": "Environments of Pulumi ESC by name, or one that is defined here.",
        "type": ["array", "object"],
        "items": {"type": ["string", "object"]},
    },
}
"""What Pulumi has in a stack file beside `config`."""


def stack_file_schema() -> dict[str, Any]:
    """Return the schema of a `Pulumi.<stack>.yaml`, made from `DeploymentSpec`."""
    spec = DeploymentSpec.model_json_schema()
    properties = {}
    for name, field in spec["properties"].items():
        properties[f"{PROJECT}:{name}"] = field | _as_written(name, field.get("type"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of mlflow-bench",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": properties,
                "patternProperties": {rf"^(?!{PROJECT}:)[^:]+:": {}},
                "additionalProperties": False,
            },
            **_PULUMIS_OWN,
        },
        "additionalProperties": False,
        "$defs": {name: _encrypted(model) for name, model in spec.get("$defs", {}).items()},
    }


def _as_written(name: str, kind: str | None) -> dict[str, Any]:
    """Return how a value may be written: `pulumi config set` writes every one as text."""
    if name in _MEMORY:
        return {"type": "string", "pattern": r"^\d+[mgMG]$", "anyOf": [{}], "default": None}
    if kind == "integer":
        return {"type": ["integer", "string"], "pattern": r"^\d+$"}
    if kind == "boolean":
        return {"type": ["boolean", "string"], "pattern": "^(true|false)$"}
    if kind == "array":
        return {"type": ["array", "string"]}
    return {}


def _encrypted(model: dict[str, Any]) -> dict[str, Any]:
    """Return `model` with its secrets as Pulumi writes them: editors mark one in plain text."""
    for name, field in model.get("properties", {}).items():
        variants = field.get("anyOf", [field])
        if any(variant.get("format") == "password" for variant in variants):
            model["properties"][name] = {
                "title": field["title"],
                "description": field["description"],
                "type": "object",
                "properties": {"secure": {"type": "string"}},
                "required": ["secure"],
                "additionalProperties": False,
            }
    return model


if __name__ == "__main__":
    sys.stdout.write(json.dumps(stack_file_schema(), indent=2) + "\n")
