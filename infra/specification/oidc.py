"""The identity provider of a stack with `auth: oidc`, as a stack file describes it."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from infra.specification.cluster import comma_separated
from infra.specification.external import Secret
from infra.specification.values import Age

Groups = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(comma_separated),
]


def _issuer(value: str) -> str:
    problem = "is not https://host[:port][/path], as the provider's tokens have it in `iss`"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(problem) from None
    if parts.scheme != "https" or not parts.hostname or port == 0 or not value.isprintable():
        raise ValueError(problem)
    if parts.username is not None or parts.query or parts.fragment or " " in value:
        raise ValueError(problem)
    return value


class OidcSpec(BaseModel):
    """An OpenID provider that knows people and jobs; `client_id` is the stack's name there."""

    # `pulumi config set --path` writes digits alone as a number.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        description="Address of the provider, exactly as its tokens have it in `iss`.",
        examples=["https://login.example.com/realms/ml"],
    )
    client_id: str = Field(
        min_length=1,
        pattern=r"^\S+$",
        description="Name under which the provider knows this stack.",
        examples=["mlflow"],
    )
    client_secret: Secret = Field(description="Secret of `client_id`.")
    audience: str | None = Field(
        default=None,
        min_length=1,
        description="What bearer tokens have to have in `aud`; without it, `client_id`.",
        examples=["mlflow"],
    )
    username_claim: str = Field(
        default="email",
        min_length=1,
        description="Claim of a token that is the name of its user: one that nobody can choose for "
        "himself.",
        examples=["email"],
    )
    groups_claim: str = Field(
        default="groups",
        min_length=1,
        description="Claim of a token that lists the groups, or roles, of its user.",
        examples=["groups"],
    )
    admin_groups: Groups = Field(
        default=(),
        description="Groups whose members are administrators of MLflow.",
        examples=["mlflow-admins"],
        json_schema_extra={"type": ["array", "string"]},
    )
    allowed_groups: Groups = Field(
        default=(),
        description="Groups whose members may use the server, beside those of `admin_groups`; "
        "without them, everybody whom the provider lets in.",
        examples=["data-science"],
        json_schema_extra={"type": ["array", "string"]},
    )
    session: Age = Field(
        default="1h",
        description="How long a browser stays signed in, whatever becomes of its user meanwhile: "
        "minutes, hours or days.",
        examples=["1h"],
    )
    ca: Path | None = Field(
        default=None,
        description="File with the certificates of the authority that signed the provider's; "
        "none: the usual ones.",
        examples=["ca.pem"],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "groups_claim" in self.model_fields_set and not (
            self.admin_groups or self.allowed_groups
        ):
            raise ValueError(
                "groups_claim: is of no use without admin_groups or allowed_groups; set one, or "
                "pulumi config rm --path oidc.groups_claim"
            )
        return self
