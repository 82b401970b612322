"""What a person is told in one line instead of a traceback."""

import re


class CannotRunError(Exception):
    """Nothing was judged: the message says what is wrong, where, and what to do (exit status 2)."""


_SIGNED = re.compile(r"\?\S*(?:Signature|Credential|Token)=[^\s'\")]*", re.IGNORECASE)


def summary(error: BaseException) -> str:
    """Kind and first line of an error, at most 300 characters, without a URL's signature."""
    said = _SIGNED.sub("?…", str(error).strip().split("\n", 1)[0])
    return f"{type(error).__name__}: {said}"[:300]
