"""A stack's database and artifacts of one moment, in one file, and back into another stack."""


class RefusedError(Exception):
    """Nothing was done, or what is said was; the message is one line for a person."""
