"""A database that is gone without a word is given up soon."""

import socket
import time
from contextlib import ExitStack

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from infra.components.server import Database


@pytest.mark.parametrize("answers", [False, True], ids=["connecting", "connected"])
def test_a_database_that_is_gone_without_a_word_is_given_up_soon(answers: bool) -> None:
    """An address that nobody listens behind refuses at once; this one only stays silent."""
    with socket.socket() as silent, ExitStack() as cleanup:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8 if answers else 0)
        address = silent.getsockname()
        if not answers:
            # A full queue of connections drops all others, as a cut network does.
            for _ in range(4):
                waiting = cleanup.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(address)
        here = Database(host=address[0], port=address[1], name="mlflow", user="mlflow")
        began = time.monotonic()
        with pytest.raises(OperationalError, match="timeout expired"):
            create_engine(here.uri).connect()
        assert 2 <= time.monotonic() - began < 10
