"""Which images are built while the engine is still being compiled."""

from pathlib import Path

import pytest

from infra.docker import ahead
from scripts.commands.setup import images


def names(stack: str) -> list[str]:
    return sorted(
        context.tag.partition("/")[2].partition(":")[0] for context in ahead.contexts([stack])
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("{}", ["mlflow", "postgres"]),
        ('{"mlflow-bench:port": 5003}', ["mlflow", "postgres"]),
        ('{"mlflow-bench:mlflow_image": "mine:1"}', ["postgres"]),
        ('{"mlflow-bench:artifacts": "nfs"}', ["mlflow", "nfs", "postgres"]),
        (
            '{"mlflow-bench:artifacts": "nfs", "mlflow-bench:zones": "2"}',
            ["mlflow", "nfs", "nginx", "postgres"],
        ),
        ('{"mlflow-bench:image_registry": "registry.example/team"}', []),
        ('{"mlflow-bench:no_such_key": "1"}', []),
        ("[not yaml", []),
        ('{"mlflow-bench:database": {"url": {"secure": "v1:abc"}}}', []),
    ],
)
def test_a_stack_file_says_what_is_built(
    config: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.mine.yaml").write_text(f"config: {config}\n")
    monkeypatch.setattr(ahead, "PROJECT", tmp_path)
    assert names("mine") == expected


def test_what_several_stacks_need_is_built_once() -> None:
    both = [context.tag for context in ahead.contexts(["local", "single-az"])]
    assert len(both) == len(set(both))
    assert set(both) > {context.tag for context in ahead.contexts(["local"])}


def test_a_stack_on_a_cluster_waits_for_its_deployment() -> None:
    assert names("k8s") == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mlflow-bench/mlflow:c568: [nfs 2/5] RUN apt-get (20 s)", "mlflow [nfs 2/5]"),
        ("mlflow-bench/postgres:3a85: Step 3/9 : RUN groupadd (40 s)", "postgres Step 3/9"),
        ("mlflow-bench/postgres:3a85: building with the old builder", "postgres"),
        ("Docker says: no", "Docker says: no"),
        ("", ""),
    ],
)
def test_progress_is_the_image_and_its_step(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"earlier\n{line}\n" if line else "")
    assert images.step(tmp_path / "log") == said
