"""Load on a deployment, and the verdict on it. The rooms, in the order in which data passes:

commands    the command line, one file a command
target      what is tested: a stack's outputs, its pods and processes
scenarios   kinds of load, with profiles, parameters and objectives
plan        what is decided before a run
runner      the phases of a run
load        the load generator; in_cluster: the same from a pod
users       what users do
faults      fault injection
observation what the stack uses meanwhile, and probes of it
history     operations and events, written and read
readback    what is stored after the load
checkers    what history and readback say: durability, freshness, availability, validity
verdict     figures and verdict of a run: result.json
report      a result for people and for CI; web: the live page
comparison  several results side by side
"""

import re


class CannotRunError(Exception):
    """Nothing was judged: the message says what is wrong, where, and what to do (exit status 2)."""


_SIGNED = re.compile(r"\?\S*(?:Signature|Credential|Token)=[^\s'\")]*", re.IGNORECASE)


def error_summary(error: BaseException) -> str:
    """Kind and first line of an error, at most 300 characters, without a URL's signature."""
    said = _SIGNED.sub("?…", str(error).strip().split("\n", 1)[0])
    return f"{type(error).__name__}: {said}"[:300]
