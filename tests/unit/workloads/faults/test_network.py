"""What a call has to show for a fault of the network to be in effect, with TLS and without."""

import pytest

from workloads.faults.network import Answer, reset, some_lost


@pytest.mark.parametrize("error", ["ConnectionError", "SSLError"])
def test_a_broken_connection_is_seen_also_amid_a_handshake(error: str) -> None:
    assert reset(lambda _: Answer(0.01, error))
    answers = iter([Answer(0.01, None), Answer(0.01, error)])
    assert some_lost(lambda _: next(answers))


@pytest.mark.parametrize("error", [None, "HTTP 503", "ReadTimeout"])
def test_what_is_answered_or_late_is_not_broken(error: str | None) -> None:
    assert not reset(lambda _: Answer(0.01, error))
    assert not some_lost(lambda _: Answer(0.01, error))
