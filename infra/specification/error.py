"""The error of a configuration."""


class SpecError(ValueError):
    """A configuration that cannot be deployed; its message has a line for each mistake."""
