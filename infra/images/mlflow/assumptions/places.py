"""One assumption: a place in MLflow, and of what kind it has to be."""

import inspect
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Assumption:
    """What has to be at a place, as `mlflow.server.auth:store`, or `mlflow.server` for a module."""

    place: str
    parameters: str | None = None
    """Names of a function's first ones, by spaces, without `self`; None: it is no matter."""
    coroutine: bool | None = None
    source: str | None = None
    """A text that is in the source of it, for what is only made by a call."""
    columns: str | None = None
    """Names of columns, by spaces, that a table's class or a registry of tables, `table.column`,
    has."""
    options: str | None = None
    """Names of a command's options, by spaces."""
    by: str = ""
    """Which of our files takes it for granted."""


_NOTHING = object()


class AbsentError(Exception):
    """Something is not there; the text says what."""


def resolve(place: str) -> Any:
    """Return what is at a place; raises `AbsentError`."""
    module, _, path = place.partition(":")
    found = _module(module)
    for name in path.split(".") if path else ():
        if inspect.ismodule(found):
            found = _member(found, name)
        elif (found := inspect.getattr_static(found, name, _NOTHING)) is _NOTHING:
            raise AbsentError(f"{place} is missing")
        elif isinstance(found, staticmethod | classmethod):
            found = found.__func__
    return found


def problem(assumption: Assumption) -> str | None:
    """Return how an assumption does not hold, by its name; None: it holds."""
    place = assumption.place
    try:
        found = resolve(place)
        for check in (_parameters, _coroutine, _source, _columns, _options):
            check(assumption, found)
    except AbsentError as error:
        return str(error)
    except Exception as error:  # whatever else is there, as a constant in the place of a function
        return f"{place} cannot be looked at: {type(error).__name__}: {error}"
    return None


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise AbsentError(f"module {error.name} is missing") from None
        raise AbsentError(f"module {name} cannot be imported: {error}") from None
    except Exception as error:  # whatever a package does when it is imported
        raise AbsentError(
            f"module {name} cannot be imported: {type(error).__name__}: {error}"
        ) from None


def _member(module: Any, name: str) -> Any:
    """Return what `from module import name` does."""
    try:
        return getattr(module, name)
    except AttributeError:
        pass
    except Exception as error:  # of a module that imports its members when they are taken
        raise AbsentError(
            f"{module.__name__}:{name} cannot be taken: {type(error).__name__}: {error}"
        ) from None
    try:
        return import_module(f"{module.__name__}.{name}")
    except ImportError:
        raise AbsentError(f"{module.__name__}:{name} is missing") from None
    except Exception as error:
        raise AbsentError(
            f"module {module.__name__}.{name} cannot be imported: {type(error).__name__}: {error}"
        ) from None


def _parameters(assumption: Assumption, found: Any) -> None:
    if assumption.parameters is None:
        return
    wanted = assumption.parameters.split()
    names = [name for name in inspect.signature(found).parameters if name != "self"]
    if names[: len(wanted)] != wanted:
        given = ", ".join(names) or "none"
        raise AbsentError(
            f"{assumption.place} takes {given}, not {', '.join(wanted) or 'nothing'} first"
        )


def _coroutine(assumption: Assumption, found: Any) -> None:
    if assumption.coroutine is None:
        return
    if inspect.iscoroutinefunction(found) != assumption.coroutine:
        kind = "a coroutine" if assumption.coroutine else "a plain function"
        raise AbsentError(f"{assumption.place} is not {kind}")


def _source(assumption: Assumption, found: Any) -> None:
    if assumption.source is not None and assumption.source not in inspect.getsource(found):
        raise AbsentError(f"{assumption.place} has no {assumption.source} in it")


def _columns(assumption: Assumption, found: Any) -> None:
    for name in (assumption.columns or "").split():
        table, _, column = name.rpartition(".")
        known = found.metadata.tables.get(table) if table else found.__table__
        if known is None or column not in known.columns:
            raise AbsentError(f"{assumption.place} has no column {name}")


def _options(assumption: Assumption, found: Any) -> None:
    if assumption.options is None:
        return
    known = {option for parameter in found.params for option in parameter.opts}
    for option in assumption.options.split():
        if option not in known:
            raise AbsentError(f"{assumption.place} has no option {option}")
