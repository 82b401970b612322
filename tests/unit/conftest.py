"""What unit tests share."""

import asyncio

import pytest

# Never closed: Pulumi's mocks leave threads behind, with event loops that nobody closes.
_LOOP = asyncio.new_event_loop()


@pytest.fixture
def event_loop_there() -> None:
    """Set the thread's event loop, which Pulumi's mocks take; `asyncio.run` leaves none behind."""
    asyncio.set_event_loop(_LOOP)
