"""What several resource types share: labels, leftovers, and waiting for a removal."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from docker.errors import APIError, NotFound

from scripts.offline.plugins.docker_resources.connection import Connection
from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call, Resource
from scripts.offline.plugins.protocol.schema import Rule, records, text

LABELS = records({"label": text(required=True), "value": text(required=True)})
# How long something in use is given to come free before its removal fails, in seconds.
IN_USE_SECONDS = 10.0

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


class DockerResource(Resource):
    """A resource of the engine behind `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def api(self) -> Any:
        """The engine's API."""
        return self._connection.api


def docker_name(value: str) -> str | None:
    """A rule: what Docker accepts as a name."""
    if _NAME.fullmatch(value):
        return None
    return "must consist of letters, digits, '_', '.' and '-', and begin with a letter or digit"


def absolute_path(value: str) -> str | None:
    """A rule: a path inside the container."""
    return None if value.startswith("/") else "must be an absolute path"


def matching(pattern: str, meaning: str) -> Rule:
    """A rule: the value matches the whole pattern."""
    return lambda value: None if re.fullmatch(pattern, value) else f"must be {meaning}"


def labels_from(inputs: Properties) -> dict[str, str]:
    """The labels as Docker's map."""
    return {label["label"]: label["value"] for label in inputs.get("labels") or []}


def labels_to(labels: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Docker's map as the SDK's list."""
    return [{"label": key, "value": value} for key, value in sorted((labels or {}).items())]


def is_leftover(requested: Mapping[str, str], existing: Mapping[str, str] | None) -> bool:
    """Whether an object of the wanted name was made by an interrupted create of the same program.

    It was if it carries every requested label, and there is at least one to tell by.
    """
    return bool(requested) and requested.items() <= (existing or {}).items()


def conflict(kind: str, name: str, id_: str = "") -> RefusedError:
    """The error for a name that belongs to somebody else."""
    which = f" ({id_[:12]})" if id_ else ""
    return RefusedError(
        f"a {kind} named '{name}' exists already{which} and does not carry this resource's "
        f"labels: remove it (`docker {kind} rm {name}`) or choose another name"
    )


def remove_when_free(call: Call, what: str, remove: Callable[[], None]) -> None:
    """Remove something, waiting a while for what still uses it.

    Already gone is success. Raises RefusedError with Docker's reason when it stays in use.
    """
    waited = 0.0
    while True:
        try:
            return remove()
        except NotFound:
            return None
        except APIError as problem:
            if problem.status_code not in (403, 409):
                raise
            if waited >= IN_USE_SECONDS:
                raise RefusedError(
                    f"{what} is still in use after {IN_USE_SECONDS:.0f} s: {problem.explanation}. "
                    "Remove what uses it, then try again"
                ) from None
            call.status(f"waiting: {problem.explanation}")
            call.sleep(0.5)
            waited += 0.5
