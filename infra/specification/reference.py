"""The reference of what a stack file may say, as Markdown.

Written with `python -m infra.specification.reference > docs/configuration.md`.
"""

import sys
from collections.abc import Iterator
from typing import Any

from infra.specification.load import PROJECT
from infra.specification.schema import stack_file_schema

HEAD = f"""# Configuration

Every key of a stack file, below `config:` as `{PROJECT}:KEY`, or set with
`pulumi config set -s STACK KEY VALUE`. A mistake is one line before anything is created. This page
is written by `python -m infra.specification.reference` from `infra/specification/deployment.py`.
"""


def reference() -> str:
    """Return the whole page."""
    schema = stack_file_schema()
    known = {
        name.removeprefix(f"{PROJECT}:"): field
        for name, field in schema["properties"]["config"]["properties"].items()
    }
    parts = [HEAD, *_table(known, schema["$defs"], required=[])]
    for name, users in _objects(known, schema["$defs"]).items():
        model = schema["$defs"][name]
        parts += [f"\n## {' and '.join(users)} as an object: {_named(name)}\n"]
        parts += [model["description"].strip().replace("\n", " ") + "\n"]
        parts += _table(model["properties"], schema["$defs"], model.get("required", []))
    return "\n".join(parts) + "\n"


def _table(
    fields: dict[str, dict[str, Any]], definitions: dict[str, Any], required: list[str]
) -> Iterator[str]:
    yield "| key | values | default | meaning |\n|---|---|---|---|"
    for name, field in fields.items():
        default = "**required**" if name in required else _default(field)
        meaning = field.get("description", "").replace("\n", " ").replace("|", "\\|")
        yield f"| `{name}` | {_values(field, definitions)} | {default} | {meaning} |"


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None or value == [] or value == ():
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a value may be, as words of a closed set or as its form."""
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        if "enum" in definitions[name]:
            return _values(definitions[name], definitions)
        return f"object ({_named(name)})"
    variants = [v for v in field.get("anyOf", field.get("oneOf", [])) if v]
    kinds = [_values(v, definitions) for v in variants if v.get("type") != "null"]
    if kinds:
        return ", or ".join(dict.fromkeys(kinds))
    return _scalar(field)


def _scalar(field: dict[str, Any]) -> str:
    if set(field.get("properties", {})) == {"secure"}:
        return "secret: set it with `--secret`"
    kind = field.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    words = {"array": "list, with commas between", "string": "text"}.get(kind, kind)
    if field.get("pattern", "").endswith("[mgMG]$"):
        return "memory, as `512m` or `2g`"
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f"{words}, {low} to {high}"
    return f"{words}, at least {low}" if low is not None else words


def _objects(known: dict[str, Any], definitions: dict[str, Any]) -> dict[str, list[str]]:
    """Models that keys refer to, in their order, each with those keys; `a.b` is key b of a's."""
    users: dict[str, list[str]] = {}
    fields = dict(known)
    while fields:
        inner: dict[str, Any] = {}
        for key, field in fields.items():
            for name, model in definitions.items():
                if f"/{name}'" in str(field) and "properties" in model:
                    users.setdefault(name, []).append(f"`{key}`")
                    inner |= {f"{key}.{one}": it for one, it in model["properties"].items()}
        fields = inner
    return users


def _named(name: str) -> str:
    return name.removesuffix("Spec").removeprefix("External")


if __name__ == "__main__":
    sys.stdout.write(reference())
