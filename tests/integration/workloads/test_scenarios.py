"""Scenarios by URL against a real tracking server: what they log is kept, and what they find is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.workloads.conftest import Server
from workloads.checkers.kinds import KINDS, OF_TRACES
from workloads.commands.application import main
from workloads.history import history
from workloads.history.history import Kind
from workloads.plan import limits
from workloads.scenarios import SCENARIOS
from workloads.scenarios.scenario import Parameters
from workloads.target.probe_paths import RATES
from workloads.verdict.result import DurabilityVerdict, Judgement, Result

ROOT = Path(__file__).parents[3]
UNDECIDED = "--objective=trace:min_count=1000000"
"""An objective for which no run here is long enough."""


def run(
    server: Server, folder: Path, scenario: str, *arguments: str, once: bool = True
) -> tuple[int, str]:
    command = [sys.executable, "-m", "workloads", "run", "--url", server.uri, "--users", "2"]
    command += ["--scenario", scenario, "--results", str(folder), "--duration", "3", *arguments]
    command += ["--once"] if once else []
    temporary = folder.with_name(f"{folder.name}.tmp")
    temporary.mkdir()
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        env=os.environ | {"MLFLOW_TRACKING_TOKEN": "s3cret", "TMPDIR": str(temporary)},
    )
    assert "Traceback" not in done.stdout
    assert list(temporary.iterdir()) == []
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def mixed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("mixed") / "run"
    status, output = run(server, folder, "mixed", "--set", "sizes_kib=1")
    assert status == result_of(folder).verdict.judgement.exit_status
    return folder, output


def result_of(folder: Path) -> Result:
    return Result.model_validate_json((folder / "result.json").read_text())


def test_a_team_loses_nothing(mixed: tuple[Path, str]) -> None:
    result = result_of(mixed[0])
    assert result.errors == {}
    assert result.durability.verdict is DurabilityVerdict.PASS, result.durability
    kept = result.durability.kinds
    for kind in (Kind.RUN, Kind.METRIC, Kind.PARAM, Kind.STATUS, Kind.FIELD, Kind.LATEST):
        assert kept[kind.value].acknowledged == kept[kind.value].present > 0
    assert kept[Kind.TAG.value].acknowledged > 0  # some are removed again
    assert result.durability.not_audited == {}


def test_reads_of_a_team_are_fresh(mixed: tuple[Path, str]) -> None:
    found = result_of(mixed[0]).freshness
    assert found
    assert found.reads > 0
    assert found.findings == []


def test_a_url_says_what_it_does_not_show(mixed: tuple[Path, str]) -> None:
    folder, output = mixed
    result = result_of(folder)
    assert result.plan.target is None
    assert result.bottleneck is None
    assert any(said.startswith("components were not looked at") for said in result.not_done)
    assert "not done: components were not looked at: no stack is known" in output
    assert "Not measured" in (folder / "report.html").read_text()
    assert any(said.startswith("whether server processes ended") for said in result.not_done)


def test_no_file_of_a_run_has_the_token(mixed: tuple[Path, str]) -> None:
    folder, output = mixed
    assert "s3cret" not in output
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if "s3cret" in path.read_text()] == []


def names_are_known(result: Result, least: int = 5) -> None:
    """Every call and step of the table can have an objective by its name."""
    names = [row.name for row in result.operations[1:]]
    scenario = SCENARIOS[result.plan.scenario]
    own = {
        name: value
        for name, value in result.plan.parameters.items()
        if name in type(scenario.parameters_of("quick")).model_fields
    }
    parameters = type(scenario.parameters_of("quick")).model_validate(own)
    options = limits.of_options(f"{name}:p95_ms=5000" for name in names)
    limits.check(limits.decide(scenario, "quick", {}, options), scenario, parameters)
    assert len(names) >= least


def test_names_of_the_table_can_have_objectives(mixed: tuple[Path, str]) -> None:
    names_are_known(result_of(mixed[0]))


def test_downloads_are_no_background(mixed: tuple[Path, str]) -> None:
    """The client makes them in threads of its own: they are their user's, in their step."""
    found = list(history.operations(mixed[0] / "history.jsonl"))
    steps = {o.id: o for o in found if o.type == "step" and o.name.startswith("download")}
    calls = [o for o in found if o.name == "GET artifact"]
    assert calls
    assert not any(o.background for o in found)
    for call in calls:
        assert call.step
        assert steps[call.step].user == call.user


def test_recheck_says_the_same(mixed: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(mixed[0], folder)
    saved = (folder / "result.json").read_text()
    status = main(["recheck", "--write", str(folder)])
    assert status == result_of(folder).verdict.judgement.exit_status
    assert (folder / "result.json").read_text() == saved


@pytest.fixture(scope="module")
def undisturbed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a fault that breaks nothing, with users by far more than the load needs."""
    folder = tmp_path_factory.mktemp("resilience") / "run"
    times = ("fault_s=4", "recovery_s=2", "patience_s=2", "sizes_kib=1", "traces=0.3", "spans=2")
    options = ("--users", "48", "--rate", "20", "--fault", "noop")
    run(server, folder, "resilience", *options, *(f"--set={one}" for one in times))
    return folder


def test_in_a_fault_there_is_everything_though_most_users_only_stand_by(undisturbed: Path) -> None:
    """When each lived a life of its own, a third of the calls began runs, and none was ended."""
    found = result_of(undisturbed)
    assert found.resilience
    [fault] = found.resilience.faults
    assert set(fault.kinds) == {*KINDS, *OF_TRACES}
    assert all(kind.attempted and kind.attempted_after for kind in fault.kinds.values()), (
        fault.kinds
    )
    calls = [o for o in history.operations(undisturbed / "history.jsonl") if o.type == "call"]
    begun = sum(call.name == "POST runs/create" for call in calls)
    ended = sum(call.name == "POST runs/update" for call in calls)
    assert begun < len(calls) / 4
    assert ended > begun / 4  # each process keeps four open, and a busy machine begins more


def test_a_team_that_traces_loses_no_span_and_reads_them_back(undisturbed: Path) -> None:
    found = result_of(undisturbed)
    kept = found.durability.kinds
    for kind in (Kind.TRACE, Kind.SPAN):
        assert kept[kind.value].present >= kept[kind.value].acknowledged > 0
        assert kept[kind.value].lost == 0
    assert found.missing_spans
    assert found.missing_spans.lost_spans == 0
    steps = [o for o in history.operations(undisturbed / "history.jsonl") if o.type == "step"]
    assert any(step.name == "read a trace" and step.outcome == "ok" for step in steps)
    assert not any(step.wrong for step in steps)
    assert found.resilience
    assert found.resilience.faults[0].traces
    assert found.resilience.faults[0].traces.dropped_spans == 0
    names_are_known(found)


def test_every_path_is_probed_and_what_probes_wrote_is_read_back(undisturbed: Path) -> None:
    found = result_of(undisturbed)
    assert found.resilience
    assert set(found.resilience.faults[0].outages) == set(RATES)
    probes = [o for o in history.operations(undisturbed / "history.jsonl") if o.type == "probe"]
    written = {w.kind for o in probes if o.outcome == "ok" for w in o.writes}
    assert written >= {Kind.RUN, Kind.METRIC, Kind.ARTIFACT}
    assert found.durability.verdict is DurabilityVerdict.PASS, found.durability.findings
    assert not any(row.name.startswith("probe") for row in found.operations)


def test_users_are_numbered_once_over_all_processes(mixed: tuple[Path, str]) -> None:
    users = {o.user for o in history.operations(mixed[0] / "history.jsonl")}
    assert users == {0, 1}


def test_a_team_in_a_closed_load_waits_until_its_traces_are_sent(
    server: Server, tmp_path: Path
) -> None:
    made = ("traces=0.5", "spans=4", "sizes_kib=1")
    status, output = run(server, tmp_path / "run", "mixed", *(f"--set={one}" for one in made))
    result = result_of(tmp_path / "run")
    assert status == result.verdict.judgement.exit_status
    assert result.errors == {}, output
    names_are_known(result)
    assert result.durability.kinds[Kind.SPAN].present == spans_made(tmp_path / "run", 4) > 0
    found = list(history.operations(tmp_path / "run" / "history.jsonl"))
    exports = [o for o in found if o.name == "POST v1/traces"]
    assert all(o.exporter for o in exports)
    assert not any(o.exporter for o in found if o.type != "call" or o.step)


def test_agents_and_their_judges_lose_nothing(server: Server, tmp_path: Path) -> None:
    status, _ = run(server, tmp_path / "run", "agents", "--set", "questions=1", "--duration", "8")
    result = result_of(tmp_path / "run")
    assert status == result.verdict.judgement.exit_status
    assert result.errors == {}
    assert result.durability.verdict is DurabilityVerdict.PASS, result.durability
    assert result.durability.not_audited == {}
    names_are_known(result)
    kept = result.durability.kinds
    for kind in (Kind.ASSESSMENT, Kind.EVALUATION_DATASET, Kind.RECORD, Kind.LINK, Kind.ALIAS):
        assert kept[kind.value].acknowledged > 0, kind
    steps = {row.name for row in result.operations if row.type == "step"}
    assert steps <= set(SCENARIOS["agents"].steps(Parameters()))
    assert "answer a question" in steps


def test_searches_find_what_is_known_to_be_there(server: Server, tmp_path: Path) -> None:
    status, output = run(server, tmp_path / "run", "search", "--set", "runs=110")
    result = result_of(tmp_path / "run")
    assert status == result.verdict.judgement.exit_status
    assert result.errors == {}
    names_are_known(result)
    steps = [row for row in result.operations if row.type == "step"]
    assert len(steps) == 4
    assert all(row.count > 0 and row.errors == 0 for row in steps)
    assert "setting up" in output

    # The control: with one run more, and one other score, the answers are wrong and found to be.
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("mlflow-bench search, 110 runs")
    assert experiment
    for made in client.search_runs([experiment.experiment_id], "params.model = 'forest'"):
        client.delete_run(made.info.run_id)
    status, _ = run(server, tmp_path / "wrong", "search", "--set", "runs=110")
    assert status == 1
    reason = result_of(tmp_path / "wrong").verdict.reasons[0]
    assert "answers were wrong. First: search by" in reason


def test_searches_of_traces_find_what_is_known_to_be_there(server: Server, tmp_path: Path) -> None:
    chosen = ("--set", "traces=110", "--set", "spans=5")
    status, output = run(server, tmp_path / "run", "trace-search", *chosen)
    result = result_of(tmp_path / "run")
    assert status == result.verdict.judgement.exit_status
    assert result.errors == {}
    names_are_known(result)
    steps = [row for row in result.operations if row.type == "step"]
    assert len(steps) == 14
    assert all(row.count > 0 and row.errors == 0 for row in steps)
    # The trace that each has of their own, with its spans and the tag that notes the rounds.
    assert result.durability.verdict is DurabilityVerdict.PASS, result.durability
    assert result.durability.not_audited == {}
    for kind in (Kind.TRACE, Kind.SPAN, Kind.TAG):
        assert result.durability.kinds[kind.value].present > 0
    assert "setting up" in output

    # The control: with some traces less, the answers are wrong and found to be.
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    made = client.get_experiment_by_name("mlflow-bench trace-search, 110 traces of 5 spans")
    assert made
    failed = client.search_traces([made.experiment_id], filter_string="trace.status = 'ERROR'")
    ids = [trace.info.trace_id for trace in failed]
    assert client.delete_traces(made.experiment_id, trace_ids=ids) == 5
    status, _ = run(server, tmp_path / "wrong", "trace-search", *chosen)
    assert status == 1
    assert "answers were wrong. First:" in result_of(tmp_path / "wrong").verdict.reasons[0]


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_every_scenario_has_both_profiles_and_objectives(scenario: object) -> None:
    from workloads.scenarios.scenario import Scenario

    assert isinstance(scenario, Scenario)
    assert set(scenario.profiles) == set(scenario.objectives) == {"quick", "full"}
    assert set(scenario.parameters) in (set(), {"quick", "full"})
    assert scenario.computes <= (not scenario.can_be_open)


@pytest.mark.parametrize(
    ("via", "said"),
    [
        ("presigned", "this server signs no URLs"),
        ("direct", "has no S3 service whose keys are known"),
        ("pigeon", "Input should be 'server', 'presigned' or 'direct'"),
    ],
)
def test_files_take_no_way_that_is_not_there(
    server: Server, tmp_path: Path, via: str, said: str
) -> None:
    status, output = run(server, tmp_path / "run", "artifacts", "--set", f"via={via}")
    assert status == 2
    assert said in output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("scenario", ["traces", "otlp"])
def test_every_span_that_is_made_is_sent(
    server: Server, tmp_path: Path, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "500")  # else it sends every 5 s
    status, output = run(server, tmp_path / "run", scenario, "--set", "spans=3", "--rate", "8")
    result = result_of(tmp_path / "run")
    assert status == result.verdict.judgement.exit_status
    assert result.errors == {}, output
    names_are_known(result, least=4)
    made = spans_made(tmp_path / "run")
    assert result.durability.kinds[Kind.SPAN].acknowledged == made > 0
    assert result.durability.not_audited == {}
    calls = [o for o in history.operations(tmp_path / "run" / "history.jsonl") if o.type == "call"]
    exports = [call for call in calls if call.name == "POST v1/traces"]
    assert {call.user for call in exports} == {0, 1}
    assert not any(call.background for call in exports)
    assert {"GET experiments/get", "POST runs/search"} <= {call.name for call in calls}


def test_in_a_closed_load_everybody_waits_until_a_trace_is_sent(
    server: Server, tmp_path: Path
) -> None:
    """Else a user would make traces for as long as the client's queue has room."""
    options = ("--set", "spans=3", "--set", "closed=true", UNDECIDED)
    status, output = run(server, tmp_path / "run", "traces", *options, once=False)
    assert status == Judgement.INVALID.exit_status
    assert f"undecided, trying once more ({tmp_path}/run/undecided): " in output
    assert (tmp_path / "run" / "undecided" / "result.json").exists()
    found = list(history.operations(tmp_path / "run" / "history.jsonl"))
    steps = [o for o in found if o.type == "step"]
    exports = [o for o in found if o.name == "POST v1/traces"]
    assert len(steps) >= 4
    assert sum(len(o.writes) > 0 for o in exports) >= len(steps) / 2
    assert all(o.duration_ms and o.duration_ms > 5 for o in steps)


def test_a_climb_of_traces_has_a_knee(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path / "run", "otlp", "--set", "spans=3", "--set", "climb=true")
    result = result_of(tmp_path / "run")
    assert [stage.stage.name for stage in result.stages] == ["1 user", "2 users"]
    assert all(stage.traces and stage.traces.spans_per_s > 0 for stage in result.stages)
    assert result.capacity


def test_what_the_client_drops_is_counted(server: Server, tmp_path: Path) -> None:
    """With hardly any room in its queue, as with a server that is far too slow."""
    small = ("spans=30", "export_queue=1", "export_workers=1")
    options = ("--rate", "3", UNDECIDED, *(f"--set={one}" for one in small))
    run(server, tmp_path / "run", "traces", *options)
    assert not (tmp_path / "run" / "undecided").exists()
    path = tmp_path / "run" / "history.jsonl"
    dropped = [line for line in history.lines(path) if line["type"] == "dropped_by_client"]
    lost = sum(line["spans"] for line in dropped)
    assert lost > 0
    assert {line["what"] for line in dropped} <= {"spans", "trace"}
    kinds = result_of(tmp_path / "run").durability.kinds
    assert kinds[Kind.SPAN].attempted + lost == spans_made(tmp_path / "run", 30)


def spans_made(folder: Path, each: int = 3) -> int:
    found = history.operations(folder / "history.jsonl")
    return each * sum(o.type == "step" and o.name == "trace" for o in found)
