"""Pages in headless Chromium."""

import html.parser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=NetworkTimeServiceQuerying",
)
"""Without a window, and asking for nothing by itself."""

FLAGS = (
    *QUIET,
    "--virtual-time-budget=10000",
    "--enable-logging=stderr",
)


def executable() -> str:
    """Return the browser's path."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome", MACOS):
        if found := shutil.which(name):
            return found
    pytest.fail("no Chromium: scripts/test installs it; or put chromium or google-chrome on PATH")


class Page(html.parser.HTMLParser):
    """Collects text and elements."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(k.rstrip("_")) == v for k, v in attributes.items())
        ]


def dump(chromium: str, profile: Path, url: str, *flags: str) -> tuple[str, str]:
    """Return the page as it is after its scripts ran, and what the browser logged."""
    done = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={profile}", *flags, "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr


def width(chromium: str, page: Path, folder: Path) -> int:
    """Return how wide a page becomes on a screen of 500 pixels."""
    measure = "<script>document.title = `${document.documentElement.scrollWidth}`</script></body>"
    measured = folder / "page.html"
    measured.write_text(page.read_text().replace("</body>", measure))
    source, _ = dump(chromium, folder / "profile", measured.as_uri(), "--window-size=500,900")
    title = re.search("<title>(.*?)</title>", source)
    assert title
    return int(title[1])
