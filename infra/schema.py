"""The JSON Schema of the stack files, for editors.

Written with `python -m infra.schema > stacks/schema.json`.
"""

import json
import sys
from typing import Any

from infra.spec import PROJECT, DeploymentSpec

_FLAT = {"mlflow_memory", "postgres_memory"}
"""Read from text such as `1g`, so their schema is not that of the number they become."""


def stack_file_schema() -> dict[str, Any]:
    """Return the schema of a `Pulumi.<stack>.yaml`, made from `DeploymentSpec`."""
    spec = DeploymentSpec.model_json_schema()
    properties = {}
    for name, field in spec["properties"].items():
        if name in _FLAT:
            field = {"type": "string", "pattern": r"^\d+[mgMG]$"} | {
                key: field[key] for key in ("description", "examples", "title")
            }
        properties[f"{PROJECT}:{name}"] = field
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
            "encryptionsalt": {"type": "string"},
            "secretsprovider": {"type": "string"},
        },
        "additionalProperties": False,
        "$defs": spec.get("$defs", {}),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(stack_file_schema(), indent=2) + "\n")
