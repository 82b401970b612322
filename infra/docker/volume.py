"""A volume of the stack."""

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker

from infra.docker.identity import Identity


def volume(
    identity: Identity,
    component: str,
    parent: pulumi.Resource,
    labels: Mapping[str, str] | None = None,
) -> docker.Volume:
    """Declare the volume `component` of the stack; `labels` are beside those of the stack."""
    return docker.Volume(
        component,
        name=identity.name(component),
        labels=[
            docker.VolumeLabelArgs(label=label, value=value)
            for label, value in {**identity.labels(component), **(labels or {})}.items()
        ],
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
    )
