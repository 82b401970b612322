"""The plotting script: in each page, which then needs nothing else, or once for a comparison's.

It has 4.7 MB. The reports of a comparison lie in its folder, some hundred of them in a full one,
and take it from a file there.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape
from plotly.offline import (  # type: ignore[import-untyped]
    get_plotlyjs,
    get_plotlyjs_version,
)

from workloads.comparison.layout import PLAN

DEPTH = 3
"""A first try's folder is in its run's, that in its deployment's, and that in the comparison's."""


@dataclass(frozen=True)
class Script:
    """How a page gets it: an element, and the sources that its content policy has to allow."""

    element: Markup
    sources: str


def inline() -> Script:
    """Return the script itself."""
    return Script(Markup("<script>{}</script>").format(Markup(get_plotlyjs())), "'unsafe-inline'")  # noqa: S704


def of(folder: Path) -> Script:
    """Return what a report in `folder` takes: of a comparison's run, the copy in its folder.

    The copy is made if it is not there.
    """
    path = folder.resolve()
    shared = next((parent for parent in path.parents[:DEPTH] if (parent / PLAN).exists()), None)
    if shared is None:
        return inline()
    copy = shared / f"plotly-{get_plotlyjs_version()}.min.js"
    if not copy.exists():
        draft = copy.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(get_plotlyjs(), encoding="utf-8")
        draft.replace(copy)
    address = escape(os.path.relpath(copy, path))
    element = Markup('<script src="{}"></script>').format(address)
    return Script(element, "'unsafe-inline' 'self' file:")
