"""The tables against the SDKs: nothing is served that they do not have, nothing is forgotten."""

import inspect
import re
from collections.abc import Mapping

import pulumi_docker
import pulumi_random
import pytest
from pulumi_docker import _inputs

from scripts.offline.plugins.docker_resources import network
from scripts.offline.plugins.docker_resources.connection import Connection
from scripts.offline.plugins.docker_resources.container import table as container_table
from scripts.offline.plugins.docker_resources.container.resource import Container
from scripts.offline.plugins.docker_resources.image import Image, RemoteImage
from scripts.offline.plugins.docker_resources.network import Network
from scripts.offline.plugins.docker_resources.volume import Volume
from scripts.offline.plugins.protocol.resource import Resource
from scripts.offline.plugins.protocol.schema import Prop
from scripts.offline.plugins.random_resources.resources import RESOURCES

DOCKER = [kind(Connection()) for kind in (Container, Network, RemoteImage, Volume)]


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def sdk_inputs(kind: type) -> set[str]:
    parameters = inspect.signature(kind).parameters
    return {camel(name) for name in parameters}


def not_served(table: Mapping[str, Prop], kind: type) -> set[str]:
    served = set(table)
    assert served <= sdk_inputs(kind)
    return sdk_inputs(kind) - served


@pytest.mark.parametrize("resource", [*DOCKER, *RESOURCES], ids=lambda one: str(one.token))
def test_tokens_and_outputs_are_the_sdks(resource: Resource) -> None:
    package = pulumi_docker if resource.token.startswith("docker:") else pulumi_random
    kind = getattr(package, resource.token.rpartition(":")[2])
    assert kind.pulumi_type == resource.token
    outputs = {camel(name) for name, value in vars(kind).items() if isinstance(value, property)}
    assert set(resource.computed) <= outputs
    # Every output is an input, computed, or known to be missing.
    missing = {"bcryptHash"} if resource.token.endswith("RandomPassword") else set()
    unserved = not_served(resource.table, getattr(package, kind.__name__ + "Args"))
    assert outputs - set(resource.table) - set(resource.computed) == missing | (outputs & unserved)


@pytest.mark.parametrize(
    ("table", "kind", "expected"),
    [
        (
            Container.table,
            pulumi_docker.ContainerArgs,
            "cgroupParent cgroupnsMode deviceCgroupRules deviceReadBps deviceReadIops "
            "deviceRequests deviceWriteBps deviceWriteIops gpus platform runtime storageOpts",
        ),
        (container_table.HEALTHCHECK, _inputs.ContainerHealthcheckArgs, "startInterval"),
        (container_table.PORT, _inputs.ContainerPortArgs, ""),
        (
            container_table.NETWORK,
            _inputs.ContainerNetworksAdvancedArgs,
            "driverOpts gwPriority macAddress",
        ),
        (container_table.VOLUME, _inputs.ContainerVolumeArgs, ""),
        (container_table.MOUNT, _inputs.ContainerMountArgs, "volumeOptions"),
        (container_table.UPLOAD, _inputs.ContainerUploadArgs, "group owner"),
        (container_table.DEVICE, _inputs.ContainerDeviceArgs, ""),
        (container_table.ULIMIT, _inputs.ContainerUlimitArgs, ""),
        (Network.table, pulumi_docker.NetworkArgs, "ingress"),
        (network.IPAM_CONFIG, _inputs.NetworkIpamConfigArgs, ""),
        (Volume.table, pulumi_docker.VolumeArgs, "cluster"),
        (Image.table, pulumi_docker.ImageArgs, "build buildOnPreview registry skipPush"),
        (RemoteImage.table, pulumi_docker.RemoteImageArgs, "build"),
    ],
)
def test_what_is_not_served(table: dict[str, Prop], kind: type, expected: str) -> None:
    assert not_served(table, kind) == set(expected.split())


def test_an_image_of_earlier_versions_is_known_by_its_type() -> None:
    assert vars(pulumi_docker.Image)["pulumi_type"] == Image.token
