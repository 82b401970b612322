"""The digest of a build context."""

from pathlib import Path

import pytest

from scripts.offline.plugins.docker_resources.build_context import digest


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch")
    (folder / ".dockerignore").write_text("# comment\n\n*.log\nsub/cache\n")
    (folder / "sub" / "file").write_text("a")
    return folder


def test_what_counts(context: Path, tmp_path: Path) -> None:
    dockerfile = context / "Dockerfile"
    seen = {digest(context, dockerfile)}

    def changed() -> bool:
        before = len(seen)
        seen.add(digest(context, dockerfile))
        return len(seen) > before

    (context / "sub" / "file").write_text("b")
    assert changed()
    (context / "sub" / "file").chmod(0o755)
    assert changed()
    (context / "sub" / "file").rename(context / "sub" / "renamed")
    assert changed()
    (context / "link").symlink_to("sub")
    assert changed()
    (context / "empty").mkdir()
    assert changed()
    dockerfile.write_text("FROM scratch AS x")
    assert changed()


def test_what_does_not_count(context: Path) -> None:
    dockerfile = context / "Dockerfile"
    before = digest(context, dockerfile)
    (context / "some.log").write_text("x")
    (context / "sub" / "cache").mkdir()
    (context / "sub" / "cache" / "file").write_text("x")
    (context / "sub" / "file").write_text("a")  # a new modification time
    assert digest(context, dockerfile) == before


def test_a_dockerfile_elsewhere_counts(context: Path, tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch")
    before = digest(context, dockerfile)
    dockerfile.write_text("FROM scratch AS x")
    assert digest(context, dockerfile) != before
