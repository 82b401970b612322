"""Print the facts as the page `scripts/offline/plugins/FACTS.md`."""

from .page import page

print(page(), end="")
