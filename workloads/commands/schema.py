"""`schema`: the JSON Schema of result.json, or its reference as Markdown."""

import json
from typing import Annotated

import typer


def print_schema(
    page: Annotated[bool, typer.Option("--page", help="Print docs/result.md instead.")] = False,
) -> int:
    """Print the JSON Schema of result.json."""
    from workloads.verdict import reference
    from workloads.verdict.result import Result

    print(reference.page() if page else json.dumps(Result.model_json_schema(), indent=2))
    return 0
