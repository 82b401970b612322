"""Objectives of a run: the scenario's, changed by the stack file and by the command line.

Each of these changes is a `Part`: an object with any field of `Objectives`. That of a stack file
also has parts of single scenarios, by name.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from workloads import CannotRunError
from workloads.plan.plan import Objectives, OperationObjectives
from workloads.scenarios import SCENARIOS
from workloads.scenarios.scenario import Parameters, Scenario

Part = dict[str, Any]

FIELDS = ", ".join(Objectives.model_fields)
OF_OPERATIONS = ", ".join(OperationObjectives.model_fields)
OPERATIONS = "operations"

_REST: Part = {"error_rate": 0, "p95_ms": 1, "min_rate": 0}
_FILE_STEP = re.compile(r"(upload|download) \d+ [KM]iB")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def of_stack(section: object, where: str) -> Part:
    """Check a stack file's part, and return it with numbers in place of text.

    `where` names the place for `CannotRunError`.
    """
    if not isinstance(section, dict):
        raise CannotRunError(
            f"{where}: give an object with any of {FIELDS}, or with such an object by a "
            "scenario's name"
        )
    by_scenario = {name: part for name, part in section.items() if name in SCENARIOS}
    for_all = {name: value for name, value in section.items() if name not in SCENARIOS}
    return {
        **_checked(for_all, where),
        **{name: _checked(part, f"{where}.{name}") for name, part in by_scenario.items()},
    }


def of_options(options: Iterable[str]) -> Part:
    """Read options `NAME:FIELD=LIMIT` or `FIELD=LIMIT`; raises `CannotRunError`."""
    merged_parts: Part = {}
    for option in options:
        where = f"--objective {option!r}"
        name, _, assignment = option.rpartition(":")
        field, equals, limit = assignment.partition("=")
        if not equals:
            raise CannotRunError(
                f"{where}: give it as 'GET artifact:p95_ms=200', or as p95_ms=500 for all calls"
            )
        part = {OPERATIONS: {name: {field: limit}}} if name else {field: limit}
        merged_parts = merged(merged_parts, _checked(part, where))
    return merged_parts


def decide(scenario: Scenario, profile: str, stack: Part, options: Part) -> Objectives:
    """Decide the objectives of a run.

    An operation that a scenario's part or the command line names has to take place at least once:
    else its objectives would be met by none. Those for all scenarios hold where they occur.
    """
    for_all = {name: value for name, value in stack.items() if name not in SCENARIOS}
    decided: Part = scenario.objectives[profile].model_dump()
    decided = merged(decided, for_all)
    for part in (stack.get(scenario.name, {}), options):
        decided = merged(decided, part)
        for name in part.get(OPERATIONS, {}):
            objective = decided[OPERATIONS][name]
            objective["min_count"] = objective.get("min_count") or 1
    return Objectives.model_validate(decided)


def options(objectives: Objectives, defaults: Objectives) -> Iterator[str]:
    """Yield the options for these objectives, as far as they are not the defaults."""
    for name, value in objectives.model_dump(exclude={OPERATIONS}).items():
        if value is not None and value != getattr(defaults, name):
            yield f"{name}={value:g}"
    for name, objective in objectives.operations.items():
        if objective.min_count is not None:  # the others are a stack file's, which is read again
            for field, value in objective.model_dump(exclude_none=True).items():
                yield f"{name}:{field}={value:g}"


def merged(first: Part, second: Part) -> Part:
    """Return the first part changed by the second; operations are merged field by field."""
    operations = dict(first.get(OPERATIONS, {}))
    for name, objective in second.get(OPERATIONS, {}).items():
        operations[name] = operations.get(name, {}) | objective
    return first | second | ({OPERATIONS: operations} if operations else {})


def check(objectives: Objectives, scenario: Scenario, parameters: Parameters) -> None:
    """Raise `CannotRunError` for objectives of an operation that does not exist.

    Names are those of calls and steps in the table.
    """
    steps = set(scenario.steps(parameters))
    for name, objective in objectives.operations.items():
        for_all = objective.min_count is None
        other_steps = set(_steps_of_all()) if for_all else set()
        is_step = name in steps | other_steps or (for_all and _FILE_STEP.fullmatch(name))
        calls = set() if is_step else set(_calls())
        if not is_step and name not in calls:
            raise CannotRunError(
                _unknown(name, sorted(steps | other_steps) + sorted(calls), scenario)
            )
        if objective.min_mib_per_s is not None and not _FILE_STEP.fullmatch(name):
            raise CannotRunError(
                f"objective of {name!r}: min_mib_per_s is for steps that move files of one size, "
                "as 'upload 16 KiB'"
            )


def _checked(part: object, where: str) -> Part:
    if not isinstance(part, dict):
        raise CannotRunError(f"{where}: give an object with any of {FIELDS}")
    try:
        validated = Objectives.model_validate(_REST | part)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            fields = FIELDS if len(first["loc"]) == 1 else OF_OPERATIONS
            raise CannotRunError(f"{where}: no objective {at!r}: give any of {fields}") from None
        raise CannotRunError(f"{where}: {at}: {first['msg']}") from None
    values = validated.model_dump(exclude_unset=True)
    return {name: values[name] for name in part}


def _steps_of_all() -> Iterator[str]:
    for scenario in SCENARIOS.values():
        yield from scenario.steps(scenario.parameters_of("full"))


def _calls() -> Iterator[str]:
    """Yield the names of all API calls that MLflow knows, as `wire.name` gives them."""
    from mlflow.protos import (
        databricks_pb2,
        mlflow_artifacts_pb2,
        model_registry_pb2,
        service_pb2,
    )

    from workloads.history import wire

    for module in (service_pb2, model_registry_pb2, mlflow_artifacts_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    path = re.sub(r"<path:\w+>", "0/0/artifacts/file", endpoint.path)
                    path = re.sub(r"{[\w.]+}", "{id}", path)
                    yield wire.name(endpoint.method, path.removeprefix("/mlflow/").lstrip("/"))
    yield from (f"{method} artifact past the server" for method in ("GET", "PUT"))
    yield from ("GET version", "POST v1/traces")  # in no protocol file, as what follows
    yield "GET server-info"  # in no protocol file: the client asks once what the server can do


def _unknown(name: str, names: list[str], scenario: Scenario) -> str:
    similar = difflib.get_close_matches(name, names, 3, 0.5)
    hint = f"; near it are {', '.join(similar)}" if similar else ""
    kind = "call" if name.startswith(_METHODS) else f"call, and no step of {scenario.name},"
    return f"objective of {name!r}: no {kind} has this name{hint}"
