"""The test cluster while stacks that go to it are deployed."""

import contextlib
from collections.abc import Iterator, Sequence

from scripts.commands.setup import cluster, plugins
from scripts.shared import ui
from scripts.stack import deployment, snapshot


@contextlib.contextmanager
def running_for(stacks: Sequence[str], keep: bool = False) -> Iterator[None]:
    """Have the test cluster run if one of the stacks goes there; end it if it was started here.

    The plugin that talks to clusters is built as well, for a stack that goes to any.
    """
    plugins.build_for(stacks)
    clustered = [stack for stack in stacks if cluster.wanted([stack])]
    if not clustered or not cluster.start():
        yield
        return
    try:
        for stack in clustered:
            if snapshot.read(stack).resources:
                ui.say(stack, "was in a test cluster that has ended")
                deployment.remove(stack)
        yield
    finally:
        if not keep:
            cluster.end()
