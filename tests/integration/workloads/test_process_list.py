"""Processes are listed by bash alone, whatever comes and goes meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workloads.faults.processes import LIST, Process, parse


def test_processes_are_listed_with_bash_alone() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        listed = subprocess.run(["bash", "-c", LIST], capture_output=True, text=True, check=True)
        found = {one.pid: one for one in parse(listed.stdout)}
        assert found[sleeper.pid].parent == os.getpid()
        assert found[sleeper.pid].user == str(os.getuid())
        assert found[sleeper.pid].command.endswith("import time; time.sleep(60)")
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.mark.parametrize("read", [(), ("status",), ("status", "cmdline")])
def test_a_process_that_ends_while_it_is_listed_is_left_out(
    read: tuple[str, ...], tmp_path: Path
) -> None:
    """Its files are those that could still be read; nothing is said of the others."""
    contents = {"status": "PPid:\t1\nUid:\t10001\t10001\n", "cmdline": "python3\0server\0"}
    for number, files in (("7", tuple(contents)), ("8", read)):
        (tmp_path / number).mkdir()
        for name in files:
            (tmp_path / number / name).write_text(contents[name])
    script = LIST.replace("/proc/", f"{tmp_path}/")
    listed = subprocess.run(
        ["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    found = [Process(7, 1, "10001", "python3 server"), Process(8, 1, "10001", "python3 server")]
    assert parse(listed.stdout) == found[: 2 if "cmdline" in read else 1]


def test_listing_goes_on_while_processes_come_and_go() -> None:
    with subprocess.Popen(["bash", "-c", "while :; do (:); done"]) as churn:
        try:
            for _ in range(6):
                listed = subprocess.run(
                    ["bash", "-c", LIST],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                assert churn.pid in {one.pid for one in parse(listed.stdout)}
        finally:
            churn.kill()
