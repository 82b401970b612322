"""What a deployment takes from this machine, chosen before anything is created."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Network

from infra.checks.certificate import check_certificate
from infra.checks.data import check_data
from infra.checks.external import check_external
from infra.components.names import SCHEMA_JOB
from infra.components.postgres import PostgresMemory
from infra.docker import nfs_client, preflight
from infra.docker.identity import Identity
from infra.docker.ports import Ports
from infra.docker.subnets import subnets
from infra.docker.zone import network_component, zone_names
from infra.image.engine import connect
from infra.image.source import Source, check_published, image_sources
from infra.specification.deployment import DeploymentSpec
from infra.specification.exposure import exposures
from infra.specification.external import StoreKind


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is free, or was the deployment's before."""

    subnets: Sequence[IPv4Network]
    """One for each zone."""
    ports: Ports
    postgres_memory: PostgresMemory | None
    """None: the database is outside the stack."""
    failed_attempt: str
    """See `preflight.failed_attempt`."""
    mounting: nfs_client.Mounting | None
    """How the export is mounted; None: the artifacts are not on NFS."""
    sources: Mapping[str, Source]
    """Where the image of each component comes from."""
    warnings: Sequence[str]
    """What will not stop it."""


def plan(stack: str, spec: DeploymentSpec) -> Plan:
    """Look at the machine; raise `SpecError` when the deployment could not succeed on it."""
    check_external(spec)
    warnings = [*check_certificate(spec), *exposures(spec)]
    with closing(connect()) as client:
        check_data(stack, spec)
        preflight.check_port(client, stack, spec.bind, spec.port)
        if spec.opens_s3:
            preflight.check_port(client, stack, spec.bind, spec.s3_port, "s3_port")
        networks = [
            Identity.physical_name(stack, network_component(zone))
            for zone in zone_names(spec.zones)
        ]
        chosen = Plan(
            subnets=subnets(client, networks, spec.subnets),
            ports=Ports.choose(client, stack, spec),
            postgres_memory=preflight.postgres_memory(
                client, spec.postgres_memory, spec.capacity.max_connections
            )
            if spec.database is None
            else None,
            failed_attempt=preflight.failed_attempt(
                client, Identity.physical_name(stack, SCHEMA_JOB)
            ),
            mounting=nfs_client.choose(client, spec)
            if spec.artifact_store is StoreKind.NFS
            else None,
            sources=image_sources(spec),
            warnings=warnings,
        )
        check_published(client, spec, chosen.sources.values())
    return chosen
