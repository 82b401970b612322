"""The reference of result.json as Markdown, from the descriptions of its models.

Written with `python -m workloads schema --page > docs/result.md`.
"""

from collections.abc import Iterator
from typing import Any

from workloads.verdict.result import Result

HEAD = """# result.json

Every key of a run's `result.json`, schema version 4. This page is written by
`python -m workloads schema --page` from the models in `workloads/verdict/result.py`. As JSON
Schema: [result.schema.json](result.schema.json). Terms: [glossary.md](glossary.md).

"None:" says what `null` means. `compare` and `publish` also read schema version 3;
`python -m workloads recheck --write DIR` makes any result anew from its history.
"""

UNITS = {
    "_ms": "ms",
    "_ms_per_call": "ms",
    "_s": "s",
    "_bytes": "bytes",
    "_mib_per_s": "MiB/s",
    "_rate": "1/s",
    "_rate_margin": "1/s",
    "_rate_of_one": "1/s",
    "_rate_at_least": "1/s",
    "_ceiling": "1/s",
    "_error_rate": "share",
    "_retried_rate": "share",
    "_error_rate_limit": "share",
    "_worst_error": "share",
    "_contention": "share",
    "_cpu": "cores",
    "_cpu_limit": "cores",
    "_io_wait": "cores",
    "_deploy": "s",
}
"""Units by the end of a key that has a `_` before it; the longest that fits."""

TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}


def page() -> str:
    """Return the whole page."""
    schema = Result.model_json_schema()
    models = {"Result": schema, **schema["$defs"]}
    lines = [HEAD]
    for name in _in_order(models):
        lines += [f"## {_title(name)}\n", " ".join(models[name]["description"].split()) + "\n"]
        lines += ["| key | type | unit | meaning |", "|---|---|---|---|"]
        lines += [_row(key, field) for key, field in models[name]["properties"].items()]
        lines.append("")
    return "\n".join(lines).rstrip()


def unit(key: str) -> str:
    """Return the unit of a key; empty if it has none."""
    known = [end for end in UNITS if f"_{key}".endswith(end)]
    return UNITS[max(known, key=len)] if known else ""


def _row(key: str, field: dict[str, Any]) -> str:
    meaning = field["description"].replace("\n", " ").replace("|", "\\|")
    return f"| `{key}` | {_type(field)} | {unit(key)} | {meaning} |"


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(variant) for variant in field["anyOf"])
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{_title(name)}](#{_title(name).lower()})" if _has_section(name) else "text"
    if "const" in field:
        return f"`{field['const']}`"
    match field.get("type"):
        case "null":
            return "null"
        case "array":
            return f"list of {_type(field.get('items', {}))}"
        case "object" if isinstance(values := field.get("additionalProperties"), dict):
            return f"object of {_type(values)}"
        case "object":
            return "object"
        case kind:
            return TYPES.get(kind or "", "any")


def _has_section(name: str) -> bool:
    return "properties" in Result.model_json_schema()["$defs"].get(name, {})


def _title(name: str) -> str:
    """Return the name of a model; the stack's `Component` is not that of a stage."""
    package, _, model = name.rpartition("__")
    return f"Stack{model}" if package.startswith("infra") else model


def _in_order(models: dict[str, Any]) -> Iterator[str]:
    """Yield the models with keys, each after the first one that refers to it."""
    seen, waiting = set[str](), ["Result"]
    while waiting:
        name = waiting.pop(0)
        if name in seen or "properties" not in models[name]:
            continue
        seen.add(name)
        yield name
        waiting += _references(models[name]["properties"])


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
