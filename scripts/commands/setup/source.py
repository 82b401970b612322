"""Where the engine, its plugins and the base image may come from."""

from enum import StrEnum


class Source(StrEnum):
    """What the person asked for."""

    AUTO = "auto"
    """The official one where it is reached, else built or bundled."""

    OFFLINE = "offline"
    """Only what is built here or comes with the project."""

    ONLINE = "online"
    """Only the official one."""
