"""Volumes of the stack: such as are filled anew, and such as hold data."""

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from infra.docker.identity import Identity


def volume(
    identity: Identity,
    component: str,
    parent: pulumi.Resource,
    *,
    holds_data: bool = False,
    driver_options: Mapping[str, pulumi.Input[str]] | None = None,
) -> docker.Volume:
    """Declare the volume `component` of the stack; with `driver_options` it is a mount.

    One that holds data keeps the labels that it was made with: others would replace it.
    """
    return docker.Volume(
        identity.logical(component),
        name=identity.name(component),
        driver="local" if driver_options else None,
        driver_opts=driver_options,
        labels=identity.labels(docker.VolumeLabelArgs, component),
        opts=pulumi.ResourceOptions(
            parent=parent,
            delete_before_replace=True,
            ignore_changes=["labels"] if holds_data else None,
        ),
    )
