"""What the job says: one line each, and no password in it."""

import re
from pathlib import Path
from typing import TextIO

PASSWORD_FILE = Path("/run/secrets/database-password")


class RefusalError(Exception):
    """The database must not be used as it is; the message says what was found and what to do."""


class FailureError(Exception):
    """The job could not be done; the message says why."""


def one_line(text: object) -> str:
    """Put a message on one line and blank out passwords: those in URIs, and the mounted one."""
    line = " ".join(str(text).split())
    line = re.sub(r"(\w+://[^\s:/@]*):[^\s@]*@", r"\1:***@", line)
    password = PASSWORD_FILE.read_text().strip() if PASSWORD_FILE.is_file() else ""
    return line.replace(" ".join(password.split()), "***") if password else line


def say(message: object, stream: TextIO | None = None) -> None:
    """Print one line of the job, without passwords; on standard output by default."""
    print(f"schema-job: {one_line(message)}", file=stream, flush=True)
