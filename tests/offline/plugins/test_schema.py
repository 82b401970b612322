"""Property tables: checks and differences."""

from typing import Any

import pytest

from scripts.offline.plugins.protocol import schema
from scripts.offline.plugins.protocol.codec import UNKNOWN, Secret
from scripts.offline.plugins.protocol.schema import Change

TABLE = {
    "name": schema.text(required=True),
    "mode": schema.text(default="a", rule=schema.one_of("a", "b"), change=Change.UPDATE),
    "size": schema.integer(1, 9, change=Change.UPDATE_IF_SET),
    "on": schema.boolean(),
    "set": schema.texts(unordered=True),
    "list": schema.texts(),
    "map": schema.text_map(),
    "one": schema.record({"deep": schema.integer(required=True), "more": schema.text(default="m")}),
    "many": schema.records({"key": schema.text(required=True)}),
}


@pytest.mark.parametrize(
    ("extra", "path", "reason"),
    [
        ({"name": None}, "name", "'name' is required"),
        ({"other": 1}, "other", "property 'other' is not served by the bundled x plugin"),
        ({"mode": "c"}, "mode", "'mode' must be one of a, b"),
        ({"mode": 1}, "mode", "'mode' must be a string, not a number"),
        ({"size": "1"}, "size", "'size' must be an integer, not a string"),
        ({"size": True}, "size", "'size' must be an integer, not a boolean"),
        ({"size": 1.5}, "size", "'size' must be an integer, not a number"),
        ({"size": 0}, "size", "'size' must be at least 1"),
        ({"size": 10}, "size", "'size' must be at most 9"),
        ({"on": "true"}, "on", "'on' must be a boolean, not a string"),
        ({"set": "a"}, "set", "'set' must be a list, not a string"),
        ({"set": ["a", None]}, "set[1]", "'set[1]' must not be null"),
        ({"list": [["a"]]}, "list[0]", "'list[0]' must be a string, not a list"),
        ({"map": {"k": {}}}, "map[k]", "'map[k]' must be a string, not an object"),
        ({"one": {}}, "one.deep", "'one.deep' is required"),
        ({"one": {"deep": 1, "x": 1}}, "one.x", "property 'one.x' is not served"),
        ({"many": [{"key": "k"}, {}]}, "many[1].key", "'many[1].key' is required"),
        ({"size": Secret(99)}, "size", "'size' must be at most 9"),
    ],
)
def test_what_is_wrong_is_named(extra: dict[str, Any], path: str, reason: str) -> None:
    (failure,) = schema.check({"name": "n"} | extra, TABLE, "x")
    assert failure.path == path
    assert failure.reason.startswith(reason)
    assert "99" not in failure.reason


def test_what_is_right_passes() -> None:
    properties = {
        "name": UNKNOWN,
        "mode": None,
        "size": Secret(UNKNOWN),
        "map": {"k": "v"},
        "many": [UNKNOWN, {"key": Secret("k")}],
        "__defaults": ["name"],
    }
    assert schema.check(properties, TABLE, "x") == []


@pytest.mark.parametrize(
    ("old", "new", "replaces"),
    [
        ({}, {}, {}),
        ({"mode": "a"}, {}, {}),
        ({"mode": "b"}, {"mode": Secret("b")}, {}),
        ({"mode": "b"}, {}, {"mode": False}),
        ({"size": 2}, {"size": 3}, {"size": False}),
        ({}, {"size": 3}, {"size": False}),
        ({"size": 2}, {}, {"size": False}),
        ({"on": True}, {"on": False}, {"on": True}),
        ({"set": ["a", "b"]}, {"set": ["b", "a"]}, {}),
        ({"set": []}, {}, {}),
        ({"list": ["a", "b"]}, {"list": ["b", "a"]}, {"list": True}),
        ({"map": {"a": "1"}}, {"map": {"a": "2"}}, {"map": True}),
        ({"one": {"deep": 1}}, {"one": {"deep": 1, "more": "m"}}, {}),
        ({"one": {"deep": 1}}, {"one": {"deep": 2}}, {"one": True}),
        ({"many": [{"key": "a"}, {"key": "b"}]}, {"many": [{"key": "b"}, {"key": "a"}]}, {}),
        ({"many": [{"key": "a"}]}, {"many": [{"key": "a"}, {"key": UNKNOWN}]}, {"many": True}),
        ({"list": ["a"]}, {"list": UNKNOWN}, {"list": True}),
        ({"list": UNKNOWN}, {"list": UNKNOWN}, {"list": True}),
    ],
)
def test_differences(old: dict[str, Any], new: dict[str, Any], replaces: dict[str, bool]) -> None:
    found = schema.diff(old, new, TABLE)
    assert {one.name: one.replaces for one in found} == replaces


@pytest.mark.parametrize(
    ("change", "old", "new", "expected"),
    [
        (Change.NOTHING, ["a"], ["b"], (False, True)),
        (Change.NOTHING, None, ["b"], (False, True)),
        (Change.UPDATE, ["a"], ["b"], (False, False)),
        (Change.UPDATE_IF_SET, ["a"], ["b"], (False, False)),
        (Change.UPDATE_IF_SET, ["a"], None, (False, True)),
        (Change.REPLACE_IF_COUNT, ["a"], ["b"], (False, True)),
        (Change.REPLACE_IF_COUNT, ["a"], ["a", "b"], (True, False)),
        (Change.REPLACE_IF_COUNT, ["a"], None, (True, False)),
        (Change.REPLACE_IF_COUNT, ["a"], UNKNOWN, (True, False)),
    ],
)
def test_changes_in_vain(change: Change, old: Any, new: Any, expected: tuple[bool, bool]) -> None:
    (found,) = schema.diff({"p": old}, {"p": new}, {"p": schema.texts(change=change)})
    assert (found.replaces, found.in_vain) == expected


@pytest.mark.parametrize(("new", "kept"), [({}, True), ({"p": []}, True), ({"p": ["b"]}, False)])
def test_what_is_left_out_may_be_kept(new: dict[str, Any], kept: bool) -> None:
    (found,) = schema.diff({"p": ["a"]}, new, {"p": schema.texts(kept=True)})
    assert found.kept is kept


def test_kind_of_difference() -> None:
    old, new = {"list": ["a"], "on": True}, {"set": ["a"], "on": False}
    found = {one.name: (one.added, one.deleted) for one in schema.diff(old, new, TABLE)}
    assert found == {"list": (False, True), "set": (True, False), "on": (False, False)}


def test_defaults() -> None:
    assert schema.with_defaults({"name": "n", "on": None}, TABLE) == {"name": "n", "mode": "a"}
