"""Faults without a stack: the steps of one, which can be had, and how processes are found."""

import os
import signal
from collections.abc import Callable

import pytest
from docker.errors import APIError

from infra.outputs import Component, Platform, Target, ZoneNetwork
from tests.unit.workloads.builders import target
from workloads import CannotRunError
from workloads.commands.application import main
from workloads.faults import container_faults
from workloads.faults.catalogue import FAULTS
from workloads.faults.fault import FaultError, Injection
from workloads.faults.lifecycle import State, inject_and_heal
from workloads.faults.processes import Process, main_process, parse, worker_process
from workloads.faults.schedule import pick_component, selected


class Fake(Injection):
    """Notes what is done to it; fails where it is told to."""

    def __init__(self, **answers: object) -> None:
        self.answers: dict[str, object] = {"in_effect": True, "healed": True} | answers
        self.done: list[str] = []

    def _do(self, what: str) -> bool:
        self.done.append(what)
        answer = self.answers.get(what, True)
        if isinstance(answer, BaseException):
            raise answer
        return bool(answer)

    def inject(self) -> None:
        self._do("inject")

    def in_effect(self) -> bool:
        return self._do("in_effect")

    def heal(self) -> None:
        self._do("heal")

    def healed(self) -> bool:
        return self._do("healed")


def states(
    injection: Fake, hold: Callable[[], None] = lambda: None
) -> tuple[list[str], BaseException | None]:
    said: list[str] = []
    try:
        inject_and_heal(injection, hold, lambda s, _: said.append(s.value), take_s=0, heal_s=0)
    except BaseException as error:
        return said, error
    return said, None


def test_a_fault_goes_through_its_steps_in_order() -> None:
    fake = Fake()
    said, error = states(fake, lambda: fake.done.append("hold"))
    assert error is None
    assert said == ["injecting", "in effect", "healing", "healed"]
    assert fake.done == ["inject", "in_effect", "hold", "heal", "healed"]


@pytest.mark.parametrize(
    ("answers", "said", "reason"),
    [
        (
            {"in_effect": False},
            ["injecting", "failed", "healing", "healed"],
            "it did not take within 0 s",
        ),
        (
            {"inject": OSError("refused")},
            ["injecting", "failed", "healing", "healed"],
            "it did not take: OSError: refused",
        ),
        (
            {"healed": False},
            ["injecting", "in effect", "healing", "failed"],
            "it was not healed within 0 s",
        ),
        (
            {"heal": OSError("gone")},
            ["injecting", "in effect", "healing", "failed"],
            "it was not healed: OSError: gone",
        ),
        (
            {"in_effect": OSError("no such container")},
            ["injecting", "failed", "healing", "healed"],
            "it did not take within 0 s: OSError: no such container",
        ),
        (
            {"healed": OSError("no such container")},
            ["injecting", "in effect", "healing", "failed"],
            "it was not healed within 0 s: OSError: no such container",
        ),
    ],
)
def test_what_fails_is_told_and_healed_all_the_same(
    answers: dict[str, object], said: list[str], reason: str
) -> None:
    fake = Fake(**answers)
    assert states(fake)[0] == said
    assert "heal" in fake.done
    error = states(Fake(**answers))[1]
    assert isinstance(error, FaultError)
    assert str(error) == reason


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug"), SystemExit(1)])
def test_whatever_ends_the_run_it_is_healed(error: BaseException) -> None:
    def hold() -> None:
        raise error

    fake = Fake()
    said, raised = states(fake, hold)
    assert raised is error
    assert said[-2:] == ["healing", "healed"]
    assert "heal" in fake.done


def test_a_look_that_fails_is_no_answer() -> None:
    """What is looked at may be ending, or not be there yet: the next look counts."""

    class Unseen(Fake):
        def _do(self, what: str) -> bool:
            again = what in self.done
            super()._do(what)
            if what in ("in_effect", "healed") and not again:
                raise OSError("just ending")
            return True

    fake, said = Unseen(), list[str]()
    inject_and_heal(
        fake, lambda: None, lambda state, _: said.append(state.value), take_s=9, heal_s=9
    )
    assert said == ["injecting", "in effect", "healing", "healed"]
    assert fake.done == ["inject", "in_effect", "in_effect", "heal", "healed", "healed"]


def test_a_signal_while_it_is_healed_waits_until_that_is_done() -> None:
    class Slow(Fake):
        def heal(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            super().heal()

    fake = Slow()
    _, error = states(fake)
    assert isinstance(error, KeyboardInterrupt)
    assert fake.done[-1] == "heal"


def component(name: str, kind: str, zone: str | None = None) -> Component:
    return Component(name=name, kind=kind, container=name, image="sha256:1", zone=zone)


def multi_az(platform: Platform = Platform.DOCKER) -> Target:
    """Two zones with S3; PostgreSQL's disk is not looked at, as its container is not there."""
    parts = (
        component("postgres", "postgres"),
        component("object-store", "minio"),
        component("mlflow-a-1", "mlflow", "a"),
        component("mlflow-b-1", "mlflow", "b"),
        component("nginx", "nginx"),
    )
    zones = tuple(ZoneNetwork(name=name, network=f"net-{name}") for name in "ab")
    return target(components=parts, zones=zones, replicas=2, artifacts="s3", platform=platform)


@pytest.mark.parametrize(
    ("name", "stack", "reason"),
    [
        ("replica-kill", multi_az(), None),
        ("replica-kill", target(), None),
        ("zone-cut", multi_az(), None),
        ("zone-cut", target(), "the stack has one zone"),
        ("balancer-kill", target(), "the stack runs no nginx"),
        ("store-kill", multi_az(), None),
        ("store-kill", target(), "the stack runs no minio or seaweedfs"),
        ("nfs-freeze", multi_az(), "the stack runs no nfs"),
        ("noop", target(platform=Platform.KUBERNETES), None),
        ("zone-cut", multi_az(Platform.KUBERNETES), "not on kubernetes"),
        ("replica-kill", multi_az(Platform.KUBERNETES), None),
        ("postgres-freeze", multi_az(Platform.KUBERNETES), "not on kubernetes"),
        ("latency", target(), None),
    ],
)
def test_each_fault_says_where_it_is_not_available(
    name: str, stack: Target, reason: str | None
) -> None:
    assert FAULTS[name].unavailable(stack) == reason


def test_gaps_have_an_objective_where_a_replica_stands_in_for_another() -> None:
    assert FAULTS["replica-kill"].outage_limit_s(multi_az()) == 1
    assert FAULTS["replica-freeze"].outage_limit_s(multi_az()) == 3
    assert FAULTS["replica-kill"].outage_limit_s(target()) is None
    assert FAULTS["postgres-kill"].outage_limit_s(multi_az()) is None


@pytest.mark.parametrize(
    ("wanted", "stack", "said"),
    [
        ("fire", multi_az(), "--fault 'fire': there are noop, replica-kill, "),
        ("replica-kill,fire", multi_az(), "--fault 'fire': there are"),
        ("zone-cut", target(), "--fault zone-cut: the stack has one zone; it can have noop, "),
        ("replica-kill", None, "it takes a stack of this machine (--stack); it can have noop"),
        ("all", None, "--fault all: nothing can be broken there; give noop"),
    ],
)
def test_a_fault_that_cannot_be_had_is_told(wanted: str, stack: Target | None, said: str) -> None:
    with pytest.raises(CannotRunError) as error:
        selected(wanted, stack, 1, 3)
    assert said in str(error.value)


def test_faults_are_chosen_by_name_all_or_by_seed() -> None:
    stack = multi_az()
    assert selected("noop", None, 1, 3) == ("noop",)
    assert selected("store-kill,replica-kill", stack, 1, 3) == ("store-kill", "replica-kill")
    everything = selected("all", stack, 1, 3)
    assert "noop" not in everything
    assert {"replica-kill", "zone-cut", "latency", "postgres-freeze"} <= set(everything)
    assert not {"nfs-freeze", "postgres-disk-full"} & set(everything)
    drawn = selected("random", stack, 7, 50)
    assert drawn == selected("random", stack, 7, 50)
    assert drawn != selected("random", stack, 8, 50)
    assert len(drawn) == 50
    assert set(drawn) <= set(everything)


def test_what_is_struck_is_drawn_by_the_seed() -> None:
    stack, fault = multi_az(), FAULTS["replica-kill"]
    drawn = [pick_component(fault, stack, 1, number) for number in range(20)]
    assert drawn == [pick_component(fault, stack, 1, number) for number in range(20)]
    assert {one.name for one in drawn if one} == {"mlflow-a-1", "mlflow-b-1"}
    assert pick_component(FAULTS["zone-cut"], stack, 1, 0) is None


def test_every_fault_says_what_it_does_and_means() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.summary
        assert fault.meaning
        assert fault.make


UNDER_INIT = """
1 0 10001 /sbin/docker-init -- entrypoint mlflow server --port=5000
7 1 10001 /opt/mlflow/bin/python3 /opt/mlflow/bin/mlflow server --port=5000
20 7 10001 /opt/mlflow/bin/python3 -m uvicorn --workers 2
30 20 10001 /opt/mlflow/bin/python3 -c from multiprocessing.resource_tracker import main
31 20 10001 /opt/mlflow/bin/python3 -c from multiprocessing.spawn import spawn_main
32 20 10001 /opt/mlflow/bin/python3 -c from multiprocessing.spawn import spawn_main
90 0 10001 bash -c for folder in
91 90 10001 python3 sleep
""".strip()


def test_the_main_process_is_the_child_of_an_init_or_the_first() -> None:
    assert main_process(parse(UNDER_INIT)).pid == 7
    alone = "1 0 10002 postgres -D /data\n8 1 10002 postgres: checkpointer\n"
    assert main_process(parse(alone)) == Process(1, 0, "10002", "postgres -D /data")
    with pytest.raises(LookupError):
        main_process([])


def test_the_youngest_worker_is_found_and_no_helper() -> None:
    assert worker_process(parse(UNDER_INIT)).pid == 32
    with pytest.raises(LookupError):
        worker_process(parse("1 0 10002 postgres -D /data"))


def test_the_command_line_lists_faults_with_their_meaning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["faults"]) == 0
    shown = capsys.readouterr().out
    for name, fault in FAULTS.items():
        assert f"{name} " in shown
        assert fault.meaning in shown


def test_states_are_those_of_the_history() -> None:
    words = ["injecting", "in effect", "healing", "healed", "failed"]
    assert [state.value for state in State] == words


class Unwilling:
    """A container that refuses to be paused so often, for a reason."""

    def __init__(self, why: str, times: int) -> None:
        self.why, self.times, self.by_name = why, times, 0

    def pause(self) -> None:
        self.by_name += 1
        if self.by_name <= self.times:
            raise APIError(self.why)


def test_a_container_that_cannot_be_frozen_yet_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(container_faults, "PAUSE_S", 0)
    container = Unwilling("OCI runtime pause failed: unable to freeze: unknown", 3)
    container_faults.pause(container)  # type: ignore[arg-type]
    assert container.by_name == 4
    monkeypatch.setattr(container_faults, "PATIENCE_S", 0)
    for why, asked in ("unable to freeze", 2), ("No such container", 1):
        container = Unwilling(why, 1000)
        with pytest.raises(APIError, match=why):
            container_faults.pause(container)  # type: ignore[arg-type]
        assert container.by_name <= asked
