"""The facts as a page for people."""

from .container import CHANGES, LIFE, READ_BACK, UPLOADS
from .fact import Fact
from .others import NETWORK, RANDOM, VOLUME

SECTIONS = {
    "Container: what a change does": CHANGES,
    "Container: what is read back": READ_BACK,
    "Container: start, wait, run": LIFE,
    "Container: uploads": UPLOADS,
    "Network": NETWORK,
    "Volume": VOLUME,
    "Random": RANDOM,
}
FACTS = tuple(fact for facts in SECTIONS.values() for fact in facts)

_HEAD = """\
# What the official plugins do

Made from `tests/offline/plugins/facts` by `python -m tests.offline.plugins.facts`; each line is a
test on the bundled plugins and, with `--plugins=official`, on the official ones. "Never empty"
means that a preview or a refresh shows a change though nothing changed.
"""


def page() -> str:
    """The page, in Markdown."""
    lines = [_HEAD]
    for title, facts in SECTIONS.items():
        lines += [f"## {title}", "", "| official | then | bundled |", "|---|---|---|"]
        lines += [f"| {_cell(one.says)} | {_then(one)} | {_bundled(one)} |" for one in facts]
        lines.append("")
    return "\n".join(lines)


def _then(fact: Fact) -> str:
    if fact.refused:
        return "refused"
    return f"never empty: `{fact.shows}`" if fact.shows else ""


def _bundled(fact: Fact) -> str:
    return f"refuses: {_cell(fact.refusal)}" if fact.refusal else "the same"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
