"""Every case, and what became of it."""

import importlib
import re
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.defects import server
from tests.defects.command import Command, command_line
from tests.defects.upstream import tracking_server
from workloads.verdict.result import Judgement, Result

HERE = Path(__file__).parent
JUDGEMENTS = {"defective": Judgement.BAD, "healthy": Judgement.GOOD}
"""What the verdict has to be, by folder."""


@dataclass(frozen=True)
class Case:
    """One file."""

    folder: str
    name: str
    server: type[server.Server]

    @property
    def what(self) -> str:
        """What the server does, in a line."""
        return (self.server.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")

    @property
    def judgement(self) -> Judgement:
        """What the verdict has to be."""
        return JUDGEMENTS[self.folder]

    @property
    def scenario(self) -> str:
        """The scenario that it is run with."""
        return self.server.run.split()[0]


@dataclass(frozen=True)
class Outcome:
    """What a case got."""

    case: Case
    judgement: Judgement
    reasons: list[str]
    seconds: float

    @property
    def reason(self) -> str:
        """The first reason that says what it has to, else the first one."""
        fitting = [said for said in self.reasons if re.search(self.case.server.says, said)]
        return (fitting or self.reasons or [""])[0]

    @property
    def expected(self) -> bool:
        """Whether judgement and words are those that the case has to get."""
        words = re.search(self.case.server.says, self.reason)
        return self.judgement is self.case.judgement and bool(words)

    @property
    def said(self) -> str:
        """What became of it in a line, with all reasons if it is not what it has to be."""
        short = f"{self.case.folder}/{self.case.name}: {self.judgement}, {self.seconds:.1f} s"
        if self.expected:
            return short
        return f"{short}; has to be {self.case.judgement}: {self.case.server.says}; {self.reasons}"


def cases() -> list[Case]:
    """Return every case by folder and name."""
    found = []
    for folder in JUDGEMENTS:
        for path in sorted((HERE / folder).glob("*.py")):
            module = importlib.import_module(f"tests.defects.{folder}.{path.stem}")
            found.append(Case(folder, path.stem, module.Case))
    return found


class Track:
    """Runs cases against one tracking server."""

    def __init__(self, upstream: str, command: Command) -> None:
        self._upstream = upstream
        self._command = command

    def run(self, case: Case) -> Outcome:
        """Run a case; raises `AssertionError` with what was printed if no verdict came of it."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as kept:
            folder, output = Path(kept) / "run", Path(kept) / "output"
            with server.serving(case.server, self._upstream) as address:
                arguments = ["run", "--url", address, "--results", str(folder)]
                arguments += ["--scenario", *shlex.split(case.server.run)]
                status = self._command(arguments, output, case.server.environment)
            assert (folder / "result.json").exists(), output.read_text()
            verdict = Result.model_validate_json((folder / "result.json").read_text()).verdict
        assert status == verdict.judgement.exit_status
        return Outcome(case, verdict.judgement, verdict.reasons, time.monotonic() - began)


@contextmanager
def track() -> Iterator[Track]:
    """Everything that cases need, once for all of them."""
    with ExitStack() as stack:
        upstream = stack.enter_context(tracking_server())
        yield Track(upstream, stack.enter_context(command_line()))
