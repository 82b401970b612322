"""MLflow's own users on the servers of a stack, with `auth: basic` or `oidc`.

Their tables are in the stack's database, in a PostgreSQL schema of their own, so all replicas have
the same users. Who asks is looked at in `infra/images/mlflow/stores`, before anything else.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from urllib.parse import quote

from infra.components.oidc import SignOn

ADMINISTRATOR = "admin"
"""Whom the schema job makes; the password is made once for each stack."""

SCHEMA = "mlflow_auth"
"""PostgreSQL schema of the users' tables."""

SETTINGS_FILE = PurePosixPath("/etc/mlflow-bench/auth.ini")
"""What MLflow reads; nothing in it is secret."""


class Auth(StrEnum):
    """How clients say who they are."""

    NONE = "none"
    BASIC = "basic"
    OIDC = "oidc"

    @property
    def has_users(self) -> bool:
        """Whether clients have to say who they are."""
        return self is not Auth.NONE


class DefaultPermission(StrEnum):
    """What users may do with what nobody gave them a permission for."""

    NONE = "none"
    READ = "read"
    EDIT = "edit"

    @property
    def of_mlflow(self) -> str:
        """MLflow's word for it."""
        return "NO_PERMISSIONS" if self is DefaultPermission.NONE else self.upper()


@dataclass(frozen=True)
class Users:
    """What the servers know of users; None in its place: they ask nobody who they are."""

    default_permission: DefaultPermission
    sign_on: SignOn | None = None
    """What says who somebody is; None: passwords."""

    def files(self, database_uri: str) -> dict[str, str]:
        """Return the files that the servers read, by path."""
        schema = quote(f"-csearch_path={SCHEMA}", safe="")
        lines = {
            "default_permission": self.default_permission.of_mlflow,
            "database_uri": f"{database_uri}&options={schema}",
            "admin_username": ADMINISTRATOR,
        }
        # A percent sign has a meaning of its own in such a file.
        content = "".join(f"{key} = {value}\n".replace("%", "%%") for key, value in lines.items())
        more = self.sign_on.files() if self.sign_on else {}
        return {str(SETTINGS_FILE): f"[mlflow]\n{content}", **more}

    def environment(self) -> dict[str, str]:
        """Return the variables that the servers find it by; none is secret."""
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(SETTINGS_FILE),
            # What MLflow has no rule for is refused.
            "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
            # Without it, any user reads everybody's runs and models by GraphQL.
            "MLFLOW_SERVER_ENABLE_GRAPHQL_AUTH": "true",
            **(self.sign_on.environment() if self.sign_on else {}),
        }
