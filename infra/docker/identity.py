"""Names and labels: how everything of a stack is told from everything else."""

from dataclasses import dataclass

import pulumi

LABEL_STACK = "mlflow-bench.stack"
LABEL_COMPONENT = "mlflow-bench.component"
LABEL_DEPLOYMENT = "mlflow-bench.deployment"


@dataclass(frozen=True)
class Identity:
    """What the resources of one stack are named and labelled by."""

    stack: str
    deployment: pulumi.Output[str]

    def name(self, component: str) -> str:
        """Return the physical name of `component`, as `mlflow-bench-local-postgres`."""
        return self.physical_name(self.stack, component)

    @staticmethod
    def physical_name(stack: str, component: str) -> str:
        """Return the name that `component` has in any deployment of `stack`."""
        return f"mlflow-bench-{stack}-{component}"

    def labels(self, component: str) -> dict[str, pulumi.Input[str]]:
        """Return the labels of everything that belongs to `component`."""
        return {
            LABEL_STACK: self.stack,
            LABEL_COMPONENT: component,
            LABEL_DEPLOYMENT: self.deployment,
        }
