"""Property tables: what a resource accepts, what a change of it means, and the checks from both."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from scripts.offline.plugins.protocol.codec import Properties, Secret, Unknown


class Kind(StrEnum):
    """The type of a property's value."""

    TEXT = "a string"
    INTEGER = "an integer"
    BOOLEAN = "a boolean"
    LIST = "a list"
    MAP = "a map"
    RECORD = "an object"


class Change(StrEnum):
    """What a new value does to the resource that exists, as the official plugin has it."""

    REPLACE = "replace"
    UPDATE = "update"
    # The three others have cases that are said to be updates and reach nothing: any change, a
    # value that is dropped, another item in the place of one.
    NOTHING = "nothing"
    UPDATE_IF_SET = "update if set"
    REPLACE_IF_COUNT = "replace if the number of items changes"


# Says what is wrong with a value, in words that do not repeat it, or None.
Rule = Callable[[Any], str | None]


@dataclass(frozen=True)
class Prop:
    """One property: its type, its rules, and what a change of it means."""

    kind: Kind
    required: bool = False
    default: Any = None
    change: Change = Change.REPLACE
    # Leaving it out altogether is no change: the official plugin keeps what it read back.
    kept: bool = False
    # What was made of it is compared with the program, even where the program says nothing.
    read_back: bool = False
    item: "Prop | None" = None
    fields: Mapping[str, "Prop"] = field(default_factory=dict)
    unordered: bool = False
    rule: Rule | None = None


def text(**options: Any) -> Prop:
    """A string property."""
    return Prop(Kind.TEXT, **options)


def integer(minimum: int | None = None, maximum: int | None = None, **options: Any) -> Prop:
    """An integer property, with its inclusive bounds."""

    def rule(value: int) -> str | None:
        if minimum is not None and value < minimum:
            return f"must be at least {minimum}"
        if maximum is not None and value > maximum:
            return f"must be at most {maximum}"
        return None

    return Prop(Kind.INTEGER, rule=rule, **options)


def boolean(**options: Any) -> Prop:
    """A boolean property."""
    return Prop(Kind.BOOLEAN, **options)


def texts(**options: Any) -> Prop:
    """A list of strings."""
    item = text(rule=options.pop("each", None))
    return Prop(Kind.LIST, item=item, **options)


def text_map(**options: Any) -> Prop:
    """A map of strings."""
    return Prop(Kind.MAP, item=text(), **options)


def record(fields: Mapping[str, Prop], **options: Any) -> Prop:
    """An object with the given fields."""
    return Prop(Kind.RECORD, fields=fields, **options)


def records(fields: Mapping[str, Prop], **options: Any) -> Prop:
    """A list of objects whose order does not matter, unless `unordered=False`."""
    options.setdefault("unordered", True)
    return Prop(Kind.LIST, item=record(fields), **options)


def one_of(*allowed: str) -> Rule:
    """A rule: the value is one of these."""
    return lambda value: None if value in allowed else f"must be one of {', '.join(allowed)}"


@dataclass(frozen=True)
class Failure:
    """A property that was refused, and why."""

    path: str
    reason: str


def check(properties: Properties, table: Mapping[str, Prop], plugin: str) -> list[Failure]:
    """Everything in the properties that the table does not allow."""
    return _check_fields("", properties, table, plugin)


def _check_fields(
    prefix: str, values: Mapping[str, Any], table: Mapping[str, Prop], plugin: str
) -> list[Failure]:
    failures = [
        Failure(
            prefix + name,
            f"property '{prefix}{name}' is not served by the bundled {plugin} plugin: "
            "leave it out, or use the official plugin",
        )
        for name, value in values.items()
        if name not in table and not name.startswith("__") and value is not None
    ]
    for name, prop in table.items():
        if values.get(name) is None:
            if prop.required:
                failures.append(Failure(prefix + name, f"'{prefix}{name}' is required"))
        else:
            failures += _check_value(prefix + name, values[name], prop, plugin)
    return failures


def _check_value(path: str, value: Any, prop: Prop, plugin: str) -> list[Failure]:
    if isinstance(value, Secret):
        return _check_value(path, value.value, prop, plugin)
    if isinstance(value, Unknown):
        return []
    if not _fits(value, prop.kind):
        return [Failure(path, f"'{path}' must be {prop.kind}, not {_type_name(value)}")]
    failures = []
    if prop.item is not None:
        pairs = value.items() if prop.kind is Kind.MAP else enumerate(value)
        for key, item in pairs:
            if item is None:
                failures.append(Failure(f"{path}[{key}]", f"'{path}[{key}]' must not be null"))
            else:
                failures += _check_value(f"{path}[{key}]", item, prop.item, plugin)
    if prop.kind is Kind.RECORD:
        failures += _check_fields(f"{path}.", value, prop.fields, plugin)
    if not failures and prop.rule is not None and (reason := prop.rule(value)):
        failures.append(Failure(path, f"'{path}' {reason}"))
    return failures


def _fits(value: Any, kind: Kind) -> bool:
    if kind is Kind.INTEGER:
        return isinstance(value, int) and not isinstance(value, bool)
    types: dict[Kind, type] = {
        Kind.TEXT: str,
        Kind.BOOLEAN: bool,
        Kind.LIST: list,
        Kind.MAP: dict,
        Kind.RECORD: dict,
    }
    return isinstance(value, types[kind])


def _type_name(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")


@dataclass(frozen=True)
class Difference:
    """A top-level property that changed, and what that does to the resource."""

    name: str
    added: bool
    deleted: bool
    replaces: bool
    # Said to be an update, but nothing comes of it.
    in_vain: bool = False
    # No change at all to the official plugin, unless something else replaces.
    kept: bool = False


def diff(old: Properties, new: Properties, table: Mapping[str, Prop]) -> list[Difference]:
    """What changed between two sets of checked inputs, in the order of the table.

    A missing property equals its default, and the order of an unordered list does not count. A
    value that is not known yet counts as changed: it may replace.
    """
    differences = []
    for name, prop in table.items():
        before, after = normal(old.get(name), prop), normal(new.get(name), prop)
        if before == after:
            continue
        replaces, in_vain = _effect(prop.change, before, after)
        added, deleted = old.get(name) is None, new.get(name) is None
        kept = prop.kept and (deleted or after is None)
        differences.append(Difference(name, added, deleted, replaces, in_vain, kept))
    return differences


def _effect(change: Change, before: Any, after: Any) -> tuple[bool, bool]:
    """Whether a change replaces, and whether it is in vain."""
    if change is Change.REPLACE_IF_COUNT:
        in_vain = isinstance(before, list) and isinstance(after, list) and len(before) == len(after)
        return not in_vain, in_vain
    in_vain = change is Change.NOTHING or (change is Change.UPDATE_IF_SET and after is None)
    return change is Change.REPLACE, in_vain


def normal(value: Any, prop: Prop) -> Any:
    """A value in the one form in which equal meanings compare equal."""
    if isinstance(value, Secret):
        value = value.value
    if value is None:
        value = prop.default
    if value is None or isinstance(value, Unknown):
        # An unknown is equal to nothing, not even to another one.
        return object() if isinstance(value, Unknown) else None
    if prop.kind is Kind.LIST and prop.item is not None:
        items = [normal(item, prop.item) for item in value]
        if prop.unordered:
            items.sort(key=lambda item: json.dumps(item, sort_keys=True, default=repr))
        return items or None
    if prop.kind is Kind.MAP and prop.item is not None:
        return {key: normal(item, prop.item) for key, item in value.items()} or None
    if prop.kind is Kind.RECORD:
        return {key: normal(value.get(key), item) for key, item in prop.fields.items()}
    return value


def with_defaults(properties: Properties, table: Mapping[str, Prop]) -> Properties:
    """The properties with the table's top-level defaults filled in."""
    defaults = {name: prop.default for name, prop in table.items() if prop.default is not None}
    specified = {name: value for name, value in properties.items() if value is not None}
    return defaults | specified
