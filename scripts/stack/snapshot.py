"""What Pulumi knows of a stack."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pulumi.automation import CommandError, StackNotFoundError

from infra.automation import reason
from infra.labels import LABEL_DEPLOYMENT
from scripts.shared import ui
from scripts.stack.checkout import Checkout, answered


@dataclass(frozen=True)
class Snapshot:
    """What Pulumi knows of a stack.

    Attributes:
        resources: number of resources that exist.
        unfinished: number of operations that a killed engine began; what they made is unknown.
        deployments: ids in the labels of all of these.
        oldest: when the first of the resources was created.
    """

    resources: int = 0
    unfinished: int = 0
    deployments: frozenset[str] = frozenset()
    oldest: datetime | None = None

    @property
    def empty(self) -> bool:
        """Nothing is deployed, and nothing was being deployed."""
        return not self.resources and not self.unfinished

    def begun_after(self, moment: datetime) -> bool:
        """Tell whether all that is deployed was made after a moment."""
        return self.oldest is None or self.oldest > moment


def read(stack: str) -> Snapshot:
    """Return what Pulumi knows of a stack; nothing where it has no stack of that name.

    Raises:
        ui.SetupError: it cannot be read, so that nobody knows what is deployed.
    """
    try:
        # With secrets, which are not kept: so a wrong passphrase shows here, not half-way.
        exported = Checkout().export_stack(stack)
        if exported.version is None:
            raise ValueError("the API takes any JSON for a deployment")
        deployment = exported.deployment or {}
        resources = deployment.get("resources") or []
        created = [
            datetime.fromisoformat(resource["created"])
            for resource in resources
            if "created" in resource
        ]
        return Snapshot(
            resources=len(resources),
            unfinished=len(deployment.get("pending_operations") or []),
            deployments=frozenset(_labels(deployment)),
            oldest=min(created, default=None),
        )
    except StackNotFoundError:
        return Snapshot()
    except CommandError as error:
        raise _unreadable(stack, reason(error)) from None
    except (ValueError, TypeError, AttributeError):
        raise _unreadable(stack, "what pulumi says of it is no state") from None


def outputs(stack: str) -> dict[str, Any]:
    """Return the outputs of a stack by name, secrets as well.

    Raises:
        ui.SetupError: they cannot be read.
    """
    with answered(f"the outputs of {stack} cannot be read"):
        return {name: output.value for name, output in Checkout().stack_outputs(stack).items()}


def _unreadable(stack: str, why: str) -> ui.SetupError:
    return ui.SetupError(
        f"the state of {stack} cannot be read, so nothing was done with it: {why}; see: "
        f". scripts/activate; pulumi stack export -s {stack}"
    )


def _labels(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("label") == LABEL_DEPLOYMENT and isinstance(node.get("value"), str):
            yield node["value"]
        for child in node.values():
            yield from _labels(child)
    elif isinstance(node, list):
        for child in node:
            yield from _labels(child)
