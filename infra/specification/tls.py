"""Certificates that a stack file names for the server, instead of one of the stack's own."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema


class TlsFiles(BaseModel):
    """Your own certificate, from an authority that the clients know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cert: Path = Field(
        description="PEM file with the server's certificate, and after it those between it and "
        "its authority's.",
        examples=["server.crt"],
    )
    key: Path = Field(
        description="PEM file with its private key, without a passphrase.", examples=["server.key"]
    )
    ca: Path | None = Field(
        default=None,
        description="PEM file with the authority's certificate, for clients; without it, the "
        "authorities that each client's machine trusts.",
        examples=["ca.crt"],
    )


_WORD, FILES = "word", "files"


def _kind(value: object) -> str:
    return FILES if isinstance(value, (dict, TlsFiles)) else _WORD


_AS_WRITTEN = WithJsonSchema({"type": ["boolean", "string"], "pattern": "^(true|false)$"})
"""`pulumi config set` writes every value as text."""

Tls = Annotated[
    Annotated[bool, Tag(_WORD), _AS_WRITTEN] | Annotated[TlsFiles, Tag(FILES)], Discriminator(_kind)
]
