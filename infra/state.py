"""What Pulumi has of the stack that is being deployed, as it was before."""

import json
from typing import Any

import pulumi
from pulumi.automation import CommandError, fully_qualified_stack_name

from infra.automation import Engine, reason
from infra.image.context import PROJECT
from infra.specification.error import SpecError


def resources(stack: str) -> list[dict[str, Any]]:
    """Return the resources in the state of `stack`, as `pulumi stack export` has them.

    Their secrets stay encrypted. Raises `SpecError` when the state cannot be read: that is not
    the same as nothing deployed.
    """
    # The engine's own call for it ends the engine on a stack that was never deployed (3.256), and
    # the Automation API's decrypts, for which a passphrase that was typed in is missing here.
    name = fully_qualified_stack_name(pulumi.get_organization(), pulumi.get_project(), stack)
    try:
        # In the folder where a backend's relative address starts; the program runs in infra/.
        exported = Engine().run(["stack", "export", "--stack", name], str(PROJECT), {})
    except CommandError as error:
        raise SpecError(f"the state of {stack} cannot be read: {reason(error)}") from None
    existing: list[dict[str, Any]] = json.loads(exported.stdout)["deployment"].get("resources")
    return existing or []
