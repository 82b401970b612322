"""The command line: one clear line for a mistake, and the exit status."""

import re
from pathlib import Path

import pytest

from tests.unit.workloads.builders import Folder, good, lost, unread
from workloads.commands.application import main
from workloads.commands.run_folder import link_latest
from workloads.scenarios import SCENARIOS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run --stack nowhere", "unknown stack 'nowhere': the folder stacks has "),
        ("run --stack local --scenario x", "unknown scenario 'x': there are training, metrics"),
        ("run --stack local --url http://x", "give either --stack or --url"),
        ("run --url ftp://x", "--url ftp://x: give an address as https://"),
        ("run --url x.example.com", "--url x.example.com: give an address as https://"),
        ("run --url http://me:secret@x", "--url: leave user and password out of it"),
        ("run --url http://x --token-file /none", "--token-file /none: No such file"),
        ("run --url http://x --token-file /dev/null", "--token-file /dev/null: is empty"),
        ("run --stack local --rate 5", "--rate 5: training has no planned rate"),
        ("run --url http://x --scenario metrics --rate 0", "--rate 0: give at least 0.01"),
        ("run --url http://x --outside", "--outside: the load of x comes from this machine anyway"),
        ("run --url http://x --duration 0", "--duration 0: give at least 1"),
        ("run --url http://x --duration 0m", "--duration 0: give at least 1"),
        ("run --url http://x --duration nan", "--duration nan: give at least 1"),
        ("run --url http://x --duration 8x", "--duration 8x: give a time as 90s, 2m or 1h30m"),
        ("run --url http://x --duration 30m1h", "--duration 30m1h: give a time as 90s, 2m or"),
        ("run --url http://x --objective p95=1", "--objective 'p95=1': no objective 'p95': give"),
        ("run --url http://x --objective p95_ms", "--objective 'p95_ms': give it as 'GET artifact"),
        ("run --url http://x --set runs", "--set runs: give it as name=value"),
        ("run --url http://x --set runs=1", "--set runs: training has the parameters: none"),
        (
            "run --url http://x --scenario metrics --set metrics=none",
            "--set metrics=none: Input should be a valid integer",
        ),
        ("run --stack local --profile x", "unknown profile 'x': there are quick, full"),
        ("run --stack local --users 0", "--users 0: give at least 1"),
        ("run --stack local --users -3", "--users -3: give at least 1"),
        (
            "run --stack local --users many",
            "for '--users': Input should be a valid integer",
        ),
        (
            "run --url http://x --web 70000",
            "--web 70000: bind(): port must be 0-65535.; give another",
        ),
        (
            "run --url http://x --web x",
            "for '--web': Input should be a valid integer",
        ),
        ("publish x --to ftp://x", "--to ftp://x: give an address as https://"),
        ("publish x --to http://me:secret@x", "--to: leave user and password out of it"),
        ("publish x --to https://x --ca-file /none", "--ca-file /none: No such file"),
        ("run --url https://x --ca-file /dev/null", "--ca-file /dev/null: has no certificate in"),
        ("run --url https://x --user me:secret", "--user: leave the password out; give"),
        ("publish x", "Missing option '--to'"),
        ("run", "give either --stack or --url"),
        ("", "Missing command"),
        ("dance", "No such command 'dance'"),
        ("run --stack local --dance", "No such option: --dance"),
        ("recheck", "Missing argument 'DIR'"),
        ("audit x --stack local --until 3", "--until': 3: give a time as 2026-01-02T03:04:05"),
        ("recheck /nonexistent", "/nonexistent/history.jsonl: No such file or directory"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("python -m workloads: ")
    assert said in output.err
    assert output.err.count("\n") == 1


def test_a_folder_with_a_run_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder(tmp_path).good_run().save()
    assert main(["run", "--stack", "local", "--results", str(folder)]) == 2
    assert "holds a run already; name another folder" in capsys.readouterr().err


def test_list_names_each_scenario_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    assert re.fullmatch(r"([\w-]+ +\S.+\n( +--set \w+=… .+\n)*)+", output)
    for name in SCENARIOS:
        assert re.search(f"^{name} ", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("spoil", "status", "word"), [(good, 0, "good"), (lost, 1, "bad"), (unread, 3, "invalid")]
)
def test_recheck_gives_the_verdict_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object, status: int, word: str
) -> None:
    folder = Folder(tmp_path).good_run()
    assert callable(spoil)
    spoil(folder)
    folder.save()
    before = sorted(tmp_path.iterdir())
    assert main(["recheck", str(tmp_path)]) == status
    assert f"verdict: {word}\n" in capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == before


def test_recheck_writes_result_and_report_when_asked(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run().save()
    assert main(["recheck", "--write", str(folder)]) == 0
    assert (folder / "result.json").exists()
    assert (folder / "report.html").exists()


def test_latest_is_replaced_in_one_step(tmp_path: Path) -> None:
    for name in ("1-local", "2-local"):
        (tmp_path / name).mkdir()
        link_latest(tmp_path / name)
        assert (tmp_path / "latest").readlink() == Path(name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-local", "2-local", "latest"]
