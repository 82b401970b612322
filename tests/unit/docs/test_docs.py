"""The documents: what they link to and what they call is there."""

import re
from pathlib import Path

import pytest

from scripts.shared.project import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def links(text: str) -> list[str]:
    """Paths of relative links, without what follows a `#`."""
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    paths = [link.partition("#")[0] for link in found if "://" not in link]
    return [path for path in paths if path]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    missing = [link for link in links(text) if not (page.parent / link).exists()]
    scripts = re.findall(r"(?<![\w/.])(?:\./)?(scripts/[\w/]+)(?![\w/.])", text)
    modules = re.findall(r"python -m ((?:tests|infra|scripts|workloads)[\w.]*)", text)
    missing += [path for path in scripts if not (ROOT / path).exists()]
    for module in modules:
        path = ROOT / module.replace(".", "/")
        if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists()):
            missing.append(module)
    assert missing == []


def test_a_dead_link_is_found() -> None:
    assert links("[a](b.md#c) and [d](https://e.test) and [f](#g)") == ["b.md"]


def test_what_the_files_of_an_image_name_is_there() -> None:
    images = ROOT / "infra" / "images"
    named: dict[Path, Path] = {}
    for file in images.rglob("*"):
        if file.is_file() and file.suffix != ".pyc":
            found = re.findall(r"\b(?:infra|scripts|tests)/[\w/.-]*\w", file.read_text("utf-8"))
            beside = re.findall(r"([\w.-]+) beside this file", file.read_text("utf-8"))
            named |= dict.fromkeys([ROOT / path for path in found], file)
            named |= dict.fromkeys([file.parent / path for path in beside], file)
    assert named
    assert not {path: file for path, file in named.items() if not path.exists()}
