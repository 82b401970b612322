"""Names of a deployment's resources in Pulumi's state."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Names:
    """Names of one deployment; a program may have several."""

    stack: str
    """Name of the deployment; that of the Pulumi stack where a program has only one."""

    def logical(self, name: str) -> str:
        """Return the logical name of the resource `name`, unique in the program.

        A URN has the types of a resource's parents and not their names, so the deployment's name
        is in that of each resource. The deployment that is named as its Pulumi stack has short
        names: with others, Pulumi would replace what is there, data included.
        """
        return name if self.stack == pulumi.get_stack() else f"{self.stack}-{name}"
