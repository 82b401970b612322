"""Parts of artifacts and their versions, as HTTP has them."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores.ranges import (
    Facts,
    NoPartError,
    Part,
    asks_for_a_version,
)

MODIFIED = datetime(2026, 11, 28, 20, 0, 5, 700_000, tzinfo=UTC)
DATE = "Sat, 28 Nov 2026 20:00:05 GMT"
FACTS = Facts(200, '"abc-2"', MODIFIED)


@pytest.mark.parametrize(
    ("header", "sent", "part"),
    [
        ("bytes=0-99", "bytes=0-99", range(100)),
        ("bytes=100-", "bytes=100-", range(100, 200)),
        ("bytes=-5", "bytes=-5", range(195, 200)),
        ("bytes=-500", "bytes=-500", range(200)),
        ("bytes=199-500", "bytes=199-500", range(199, 200)),
        ("Bytes= 1 - 2 ", "bytes=1-2", range(1, 3)),
        (f"bytes=0-{10**30}", f"bytes=0-{2**63 - 1}", range(200)),
    ],
)
def test_a_range(header: str, sent: str, part: range) -> None:
    found = Part.read(header)
    assert found is not None
    assert (found.header(), found.of(200)) == (sent, part)


@pytest.mark.parametrize("header", [None, "", "lines=1-2", "bytes=0-1,3-4"])
def test_what_is_answered_with_all_of_it(header: str | None) -> None:
    assert Part.read(header) is None


@pytest.mark.parametrize("header", ["bytes=", "bytes=-", "bytes=x", "bytes=1", "bytes=5-2"])
def test_what_is_no_range(header: str) -> None:
    with pytest.raises(ValueError, match=header):
        Part.read(header)


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=200-", 200), ("bytes=-0", 200), ("bytes=0-", 0), ("bytes=-1", 0)]
)
def test_a_range_beyond_the_end(header: str, size: int) -> None:
    part = Part.read(header)
    assert part is not None
    with pytest.raises(NoPartError) as refused:
        part.of(size)
    assert refused.value.size == size


def test_what_is_told_of_a_version() -> None:
    assert FACTS.headers() == {
        "Accept-Ranges": "bytes",
        "ETag": '"abc-2"',
        "Last-Modified": DATE,
    }
    here = Facts(1, '""', MODIFIED.astimezone(datetime.now().astimezone().tzinfo))
    assert here.headers()["Last-Modified"] == DATE


@pytest.mark.parametrize(
    ("name", "value", "unchanged"),
    [
        ("if-none-match", '"abc-2"', True),
        ("if-none-match", '"x", W/"abc-2"', True),
        ("if-none-match", "*", True),
        ("if-none-match", '"abc"', False),
        ("if-modified-since", DATE, True),
        ("if-modified-since", "Sat, 28 Nov 2026 20:00:04 GMT", False),
        ("if-modified-since", "yesterday", False),
    ],
)
def test_a_client_that_has_it_already(name: str, value: str, unchanged: bool) -> None:
    assert asks_for_a_version({name: value})
    assert FACTS.unchanged({name: value}) is unchanged


def test_a_tag_says_more_than_a_date() -> None:
    assert not FACTS.unchanged({"if-none-match": '"x"', "if-modified-since": DATE})
    assert not asks_for_a_version({"range": "bytes=0-1"})
    assert not FACTS.unchanged({})


def test_a_part_is_sent_only_of_the_same_version() -> None:
    assert FACTS.is_of('"abc-2"')
    assert FACTS.is_of(DATE)
    assert not FACTS.is_of('W/"abc-2"')
    assert not FACTS.is_of("Sat, 28 Nov 2026 21:00:05 GMT")
    later = Facts(200, '"abc-2"', MODIFIED + timedelta(seconds=1))
    assert not later.is_of(DATE)
