"""Failures that are told to a person."""


class RefusedError(Exception):
    """Something a person can act on; its text is shown as it stands."""


class CancelledError(RefusedError):
    """The operation was cancelled, or its caller is gone."""
