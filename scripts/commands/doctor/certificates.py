"""Certificates that a deployed stack shows, to its clients and inside of it."""

import datetime
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from infra.components.secret_files import SECRETS_FOLDER, TLS_CERTIFICATE_FILE
from scripts.commands.doctor.finding import Finding, good, wrong
from scripts.shared import ui
from scripts.stack import files

PATH = PurePosixPath(SECRETS_FOLDER) / TLS_CERTIFICATE_FILE
"""Where a component has its own, if it has one."""

FRONT = "nginx"
"""How the components begin that show clients a certificate; what the others show is the stack's."""


def judge(stack: str, shown: Mapping[str, str | None]) -> Iterator[Finding]:
    """Say of each component's certificate how long it is good.

    `shown` are the contents of `PATH` by component; None: it has none, or does not run.
    """
    for component, content in shown.items():
        if content is not None:
            yield _judged(stack, component, content)


def _judged(stack: str, component: str, content: str) -> Finding:
    try:
        from infra.certificates import SOON, soonest_end  # It needs packages.
    except ImportError:
        raise ui.SetupError(f"{stack}: certificates cannot be read: run scripts/setup") from None
    own = files.config(stack).get("tls")
    remedy = f"pulumi up -s {stack}, which renews it"
    if component.startswith(FRONT) and isinstance(own, dict):
        remedy = f"renew {own.get('cert')}, then pulumi up -s {stack}"
    try:
        end = soonest_end(content)
    except ValueError:
        why = "it is not in PEM form"
        return wrong(stack, f"{component} shows a certificate that cannot be read", why, remedy)
    left = end - datetime.datetime.now(datetime.UTC)
    if left > SOON:
        return good(stack, f"{component} shows a certificate that is good until {end:%Y-%m-%d}")
    ended = left <= datetime.timedelta(0)
    seen = f"{component} shows a certificate that {'ended' if ended else 'ends'} on {end:%Y-%m-%d}"
    why = "those who verify it refuse it" + ("" if ended else " from then on")
    return wrong(stack, seen, why, remedy)
