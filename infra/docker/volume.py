"""A volume of the stack."""

import pulumi
import pulumi_docker as docker

from infra.docker.identity import Identity


def volume(identity: Identity, component: str, parent: pulumi.Resource) -> docker.Volume:
    """Declare the volume `component` of the stack."""
    return docker.Volume(
        component,
        name=identity.name(component),
        labels=[
            docker.VolumeLabelArgs(label=label, value=value)
            for label, value in identity.labels(component).items()
        ],
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
    )
