"""Names and labels: how everything of a stack is told from everything else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import pulumi

from infra.labels import LABEL_COMPONENT, LABEL_DEPLOYMENT, LABEL_STACK
from infra.names import Names

LabelArgs = TypeVar("LabelArgs")


@dataclass(frozen=True)
class Identity(Names):
    """What the resources of one stack are named and labelled by."""

    deployment: pulumi.Output[str]

    def name(self, component: str) -> str:
        """Return the physical name of `component`, as `mlflow-bench-local-postgres`."""
        return self.physical_name(self.stack, component)

    @staticmethod
    def physical_name(stack: str, component: str) -> str:
        """Return the name that `component` has in any deployment of `stack`."""
        return f"mlflow-bench-{stack}-{component}"

    def labels(
        self,
        label_args: Callable[..., LabelArgs],
        component: str,
        others: Mapping[str, pulumi.Input[str]] | None = None,
    ) -> list[LabelArgs]:
        """Return the labels of everything that belongs to `component`, and `others` after them.

        `label_args` is the plugin's type for labels of the kind of resource.
        """
        labels: dict[str, pulumi.Input[str]] = {
            LABEL_STACK: self.stack,
            LABEL_COMPONENT: component,
            LABEL_DEPLOYMENT: self.deployment,
            **(others or {}),
        }
        return [label_args(label=label, value=value) for label, value in labels.items()]
