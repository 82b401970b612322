"""Secrets of MLflow's users, made once for each stack and kept in its state, encrypted."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.components.secret_files import (
    ADMIN_PASSWORD_FILE,
    METRICS_TOKEN_FILE,
    OIDC_CA,
    OIDC_SECRET_FILE,
    SERVER_KEY_FILE,
)
from infra.names import Names
from infra.password import password
from infra.specification.deployment import DeploymentSpec

Secrets = Mapping[str, pulumi.Input[str]]
"""Files of a container by name, and their content."""


@dataclass(frozen=True)
class UserSecrets:
    """What a stack with users has beside its stores' secrets."""

    admin_password: pulumi.Output[str] | None
    """The administrator's; None: the stack has no users."""
    of_schema_job: Secrets
    of_servers: Secrets
    metrics_token: pulumi.Output[str] | None = None
    """What Prometheus shows the servers; None: it is asked for nothing, or does not ask them."""


def user_secrets(spec: DeploymentSpec, names: Names, parent: pulumi.Resource) -> UserSecrets:
    """Declare the secrets that `spec` asks for; none without users."""
    if spec.users is None:
        return UserSecrets(None, {}, {})
    admin_password = password(names.logical("admin-password"), parent)
    server_key = password(names.logical("server-key"), parent)
    of_servers: dict[str, pulumi.Input[str]] = {SERVER_KEY_FILE: server_key}
    if spec.oidc is not None:
        secret = spec.oidc.client_secret.get_secret_value()
        of_servers[OIDC_SECRET_FILE] = pulumi.Output.secret(secret)
        if spec.oidc.ca is not None:
            of_servers[OIDC_CA] = spec.oidc.ca.read_text()
    token = None
    if spec.kubernetes is not None and spec.kubernetes.monitoring is not None:
        of_servers[METRICS_TOKEN_FILE] = token = password(names.logical("metrics-token"), parent)
    return UserSecrets(admin_password, {ADMIN_PASSWORD_FILE: admin_password}, of_servers, token)
