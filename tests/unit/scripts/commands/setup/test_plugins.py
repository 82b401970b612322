"""Which plugins are put into Pulumi's home, and when the Kubernetes one is built."""

from pathlib import Path
from typing import Any

import pytest

from scripts.commands.setup import plugins
from scripts.commands.setup.engine import Engine
from scripts.commands.setup.source import Source
from scripts.offline import kubernetes_plugin
from scripts.shared.project import pin
from scripts.stack import files

ENGINE = Engine(Path("/nowhere"), "built", official=False)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of Pulumi, and an empty cache."""
    monkeypatch.setattr(plugins, "PULUMI_HOME", tmp_path / "home")
    monkeypatch.setattr(kubernetes_plugin, "CACHE", tmp_path / "cache")
    return tmp_path / "home"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def installed(home: Path, name: str) -> Path:
    [folder] = home.glob(f"plugins/resource-{name}-v*")
    return folder / f"pulumi-resource-{name}"


def put_release(home: Path, name: str) -> Path:
    version = pin(f"pulumi-{name}")
    return put(home / f"plugins/resource-{name}-v{version}/pulumi-resource-{name}", b"\x7fELF")


def built() -> Path:
    return put(kubernetes_plugin.program(), b"\x7fELF")


def test_the_line_says_what_is_whose(home: Path) -> None:
    said = plugins.ensure(ENGINE, Source.OFFLINE)
    own, kubernetes = said.split("; ")
    assert own.startswith("docker 5.")
    assert own.endswith("the project's own (--offline was given)")
    assert kubernetes.startswith("kubernetes 4.")
    assert kubernetes.endswith("official, to be built at its first use, some minutes")
    built()
    said = plugins.ensure(ENGINE, Source.AUTO)
    assert "the project's own (installed before); " in said
    assert said.endswith("official, built from its Go module")
    assert plugins.bundled()


def test_a_release_that_is_installed_stays(home: Path) -> None:
    plugins.ensure(ENGINE, Source.AUTO)
    installed(home, "docker").unlink()
    release = put_release(home, "docker")
    said = plugins.ensure(ENGINE, Source.AUTO)
    assert release.read_bytes() == b"\x7fELF"
    assert said.startswith("docker 5.")
    assert ", official; random 4." in said
    assert plugins.bundled()
    for name in ("kubernetes", "random"):
        put_release(home, name)
    assert plugins.ensure(ENGINE, Source.AUTO).endswith(", official")
    assert not plugins.bundled()
    plugins.ensure(ENGINE, Source.OFFLINE)
    assert installed(home, "docker").read_bytes().startswith(b"#!")


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"platform": "kubernetes"}, True),
        ({"platform": "docker"}, False),
        ({"kubernetes": {"context": "mine"}}, False),
    ],
)
def test_it_is_built_for_stacks_of_the_platform_only(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], wanted: bool
) -> None:
    monkeypatch.setattr(files, "config", lambda _: config)
    asked: list[str] = []

    def ensure() -> str:
        asked.append("ensure")
        return "built"

    monkeypatch.setattr(kubernetes_plugin, "ensure", ensure)
    plugins.build_for(["mine"])
    assert bool(asked) is wanted


def test_it_is_not_built_twice_nor_beside_a_release(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    def fail() -> str:
        raise AssertionError("it is built again")

    monkeypatch.setattr(kubernetes_plugin, "ensure", fail)
    release = put_release(home, "kubernetes")
    plugins.build_kubernetes()
    release.unlink()
    program = built()
    plugins.build_kubernetes()
    program.unlink()
    with pytest.raises(AssertionError, match="built again"):
        plugins.build_kubernetes()


def test_other_sources_are_another_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = kubernetes_plugin.program()
    assert before == kubernetes_plugin.program()
    for path in kubernetes_plugin.SOURCE.iterdir():
        put(tmp_path / "source" / path.name, path.read_bytes())
    put(tmp_path / "source" / "go.sum", b"")
    monkeypatch.setattr(kubernetes_plugin, "SOURCE", tmp_path / "source")
    assert before != kubernetes_plugin.program()
