"""Volumes of the stack: such as are filled anew, and such as hold data."""

import pulumi
import pulumi_docker as docker

from infra.docker.identity import Identity


def volume(
    identity: Identity,
    component: str,
    parent: pulumi.Resource,
    *,
    holds_data: bool = False,
) -> docker.Volume:
    """Declare the volume `component` of the stack.

    One that holds data keeps the labels that it was made with: others would replace it.
    """
    return docker.Volume(
        component,
        name=identity.name(component),
        labels=[
            docker.VolumeLabelArgs(label=label, value=value)
            for label, value in identity.labels(component).items()
        ],
        opts=pulumi.ResourceOptions(
            parent=parent,
            delete_before_replace=True,
            ignore_changes=["labels"] if holds_data else None,
        ),
    )
