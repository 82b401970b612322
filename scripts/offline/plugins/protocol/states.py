"""What goes into the state: inputs, defaults and outputs, as secret as they came."""

from typing import Any

from scripts.offline.plugins.protocol import schema
from scripts.offline.plugins.protocol.codec import Properties, Secret, holds_secret, reveal
from scripts.offline.plugins.protocol.names import CHOSEN
from scripts.offline.plugins.protocol.resource import Resource


def outputs(resource: Resource, inputs: Properties, computed: Properties) -> Properties:
    """A resource's state: its inputs with defaults, and the computed outputs over them.

    An output that stands for an input (a port that Docker chose, say) is as secret as the input.
    """
    state = schema.with_defaults(inputs, resource.table)
    state |= {name: keep_secrets(inputs.get(name), value) for name, value in computed.items()}
    state.pop(CHOSEN, None)
    for name in resource.secret_outputs:
        if name in state and not isinstance(state[name], Secret):
            state[name] = Secret(state[name])
    return state


def keep_secrets(wrapped: Any, plain: Any) -> Any:
    """The plain value, with secrets where the wrapped one has them; a changed list wholly so."""
    if isinstance(plain, Secret):
        return plain
    if isinstance(wrapped, Secret):
        return Secret(plain)
    if isinstance(wrapped, dict) and isinstance(plain, dict):
        return {key: keep_secrets(wrapped.get(key), value) for key, value in plain.items()}
    if isinstance(wrapped, list) and isinstance(plain, list):
        if reveal(wrapped) == plain:
            return wrapped
        return Secret(plain) if holds_secret(wrapped) else plain
    return plain
