"""What is missing of the indexes of a release, whatever they are called."""

import pytest

from infra import releases
from scripts.stack import indexes

BY_RUN = "CREATE INDEX by_run ON public.metrics USING btree (run_uuid)"
RENAMED = "CREATE INDEX another ON public.metrics USING btree (run_uuid)"
KEY = "CREATE UNIQUE INDEX runs_pk ON public.runs USING btree (run_uuid)"


@pytest.mark.parametrize(
    ("present", "lost"),
    [
        ([BY_RUN, KEY], []),
        ([RENAMED, KEY, "CREATE INDEX more ON public.runs USING btree (status)"], []),
        ([KEY], [BY_RUN]),
        ([BY_RUN, KEY.replace("UNIQUE ", "")], [KEY]),
        ([BY_RUN.replace("metrics", "params"), KEY], [BY_RUN]),
        ([], [BY_RUN, KEY]),
    ],
)
def test_what_is_missing(present: list[str], lost: list[str]) -> None:
    assert indexes.missing([BY_RUN, KEY], present) == lost


def test_an_index_is_named_and_made_while_people_work() -> None:
    assert [indexes.name(one) for one in (BY_RUN, KEY)] == ["by_run", "runs_pk"]
    assert indexes.concurrently(BY_RUN).startswith("CREATE INDEX CONCURRENTLY by_run ON ")
    assert indexes.concurrently(KEY).startswith("CREATE UNIQUE INDEX CONCURRENTLY runs_pk ON ")


@pytest.mark.parametrize(
    "release", sorted({releases.pinned(), *(p.stem for p in releases.FOLDER.glob("*.indexes"))})
)
def test_the_indexes_of_a_release_are_written_down(release: str) -> None:
    """`python -m scripts.benchmarks.indexes RELEASE` writes them."""
    known = indexes.expected(release)
    assert known
    assert known == sorted(known)
    assert any(" ON public.metrics " in one for one in known)
    assert indexes.expected("0.0.1") is None
