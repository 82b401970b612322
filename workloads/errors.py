"""What a person is told in one line instead of a traceback."""


class CannotRunError(Exception):
    """Nothing was judged: the message says what is wrong, where, and what to do (exit status 2)."""
