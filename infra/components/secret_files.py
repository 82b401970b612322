"""Files that components read their secrets from: `SECRETS_FOLDER` and the names in it."""

from pathlib import PurePosixPath

SECRETS_FOLDER = "/run/secrets"

PASSWORD_FILE = "database-password"
"""Password of the database's role, which both PostgreSQL and its clients read."""

CREDENTIALS_FILE = "aws-credentials"
"""Keys of the bucket, in AWS's format."""

WEBHOOK_KEY_FILE = "webhook-key"
"""What the secrets of webhooks are encrypted by: a Fernet key."""

GATEWAY_PASSPHRASE_FILE = "gateway-passphrase"
"""What the keys of gateway endpoints are encrypted by."""

CREDENTIALS_PATH = PurePosixPath(SECRETS_FOLDER) / CREDENTIALS_FILE

ADMIN_PASSWORD_FILE = "admin-password"
"""Password of the administrator of MLflow's users, for the schema job alone."""

SERVER_KEY_FILE = "server-key"
"""What all replicas sign forms of the web interface with."""

OIDC_SECRET_FILE = "oidc-client-secret"
"""By which an identity provider knows the servers."""

METRICS_TOKEN_FILE = "metrics-token"
"""What Prometheus shows servers that ask who comes, to be told their figures."""

ARTIFACTS_CA = "artifacts-ca.crt"
DATABASE_CA = "database-ca.crt"
OIDC_CA = "oidc-ca.crt"
"""Certificates that servers check external services by."""

TLS_CERTIFICATE_FILE, TLS_KEY_FILE = "tls-certificate", "tls-key"
"""What a component shows whoever connects to it, and the private key of it."""

REPLICAS_CA = "replicas-ca.crt"
"""Certificate that the load balancer checks replicas by."""


def credentials_file(access_key: str, secret_key: str, session_token: str | None = None) -> str:
    """Return the content of a credentials file as boto3 reads it."""
    lines = [
        "[default]",
        f"aws_access_key_id={access_key}",
        f"aws_secret_access_key={secret_key}",
    ]
    if session_token is not None:
        lines.append(f"aws_session_token={session_token}")
    return "\n".join(lines) + "\n"
