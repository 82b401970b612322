"""What the official plugins do, one test for each fact of `tests.offline.plugins.facts`.

All resources are deployed together and changed together, in a handful of runs of the engine. What
the bundled plugins refuse is asked of them without one.
"""

import asyncio
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import grpc  # type: ignore[import-untyped]
import pulumi
import pytest
from pulumi.runtime.proto import provider_pb2

from scripts.offline.plugins.docker_resources.connection import Connection
from scripts.offline.plugins.docker_resources.container.resource import Container
from scripts.offline.plugins.docker_resources.network import Network
from scripts.offline.plugins.docker_resources.volume import Volume
from scripts.offline.plugins.protocol.codec import encode
from scripts.offline.plugins.protocol.server import Plugin
from scripts.offline.plugins.random_resources.resources import RESOURCES
from tests.offline.plugins.facts.fact import Fact, program
from tests.offline.plugins.facts.page import FACTS, page
from tests.offline.plugins.project import (
    IMAGE,
    LABEL,
    PRELUDE,
    RUN_VARIABLE,
    Project,
    Result,
    sweep,
)
from tests.ports import free_port

DOCKER = [kind(Connection()) for kind in (Container, Network, Volume)]
# Never closed: Pulumi's mocks leave threads behind, with event loops that nobody closes.
LOOP = asyncio.new_event_loop()
PAGE = Path(__file__).parents[3] / "scripts" / "offline" / "plugins" / "FACTS.md"
TABLES = {one.token.rpartition(":")[2]: one.table for one in [*DOCKER, *RESOURCES]}


def named(facts: list[Fact]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fact", facts, ids=lambda one: str(one.name))


# --- on the plugins under test


@dataclass
class Seen:
    """What happened to all resources together."""

    deployed: Result
    unchanged: list[Result]
    changed: Result
    ids: list[dict[str, str]]
    inspected: list[dict[str, Any]]
    settled: list[Result] = field(default_factory=list)
    """The runs after the change, with the changed program."""


def deployable(fact: Fact, plugins: str) -> bool:
    """Whether the plugin lets it be created, in words or for ever changing."""
    if plugins == "official":
        return not fact.refused
    return not fact.refuses_at_once


@pytest.fixture(scope="module")
def seen(
    plugins: str,
    engine: str,
    empty_project: tuple[Path, dict[str, str]],
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Seen]:
    run = uuid.uuid4().hex[:8]
    folder = tmp_path_factory.mktemp("facts")
    empty, env = empty_project
    shutil.copytree(empty, folder, dirs_exist_ok=True)
    project = Project(folder, run, engine, env | {"PULUMI_STACK": "test", RUN_VARIABLE: run})
    facts = [one for one in FACTS if deployable(one, plugins)]
    # What the bundled plugin refuses to change stays as it is.
    after = [one if plugins == "official" or not one.refusal else first(one) for one in facts]
    ports = [free_port() for _ in range(4)]
    known = f"IMAGE_ID = {docker_client.images.get(IMAGE).id!r}\nPORTS = {ports}\n"
    try:
        project.program(known + program(facts, IMAGE))
        deployed = project.up()
        unchanged = [project.preview(), project.refresh(), project.preview()]
        before = resource_ids(project)
        looks = [containers(docker_client, project)]
        project.program(known + program(after, IMAGE, changed=True))
        announced = project.preview()
        changed = project.up()
        looks.append(containers(docker_client, project))
        yield Seen(
            deployed,
            unchanged,
            announced,
            [before, resource_ids(project)],
            looks,
            [changed, project.preview(), project.refresh(), project.preview()],
        )
        project.destroy()
    finally:
        sweep(docker_client, project)


def first(fact: Fact) -> Fact:
    return Fact(name=fact.name, says=fact.says, kind=fact.kind, first=fact.first)


def resource_ids(project: Project) -> dict[str, str]:
    return {name: one.get("id", "") for name, one in project.resources().items()}


def containers(client: docker.DockerClient, project: Project) -> dict[str, Any]:
    """The settings of each container by its id."""
    mark: dict[str, Any] = {"label": f"{LABEL}={project.run}"}
    found = client.containers.list(all=True, filters=mark)
    return {str(one.id): (one.attrs["Config"], one.attrs["HostConfig"]) for one in found}


@pytest.mark.plugins
@named([one for one in FACTS if not one.refused and not one.shows])
def test_nothing_to_change(fact: Fact, seen: Seen, plugins: str) -> None:
    if not deployable(fact, plugins):
        pytest.skip("refused by the bundled plugin, as another test shows")
    assert seen.deployed.ops[fact.name] == "create"
    for result in seen.unchanged:
        assert fact.name not in result.changed


@pytest.mark.plugins
@named([one for one in FACTS if one.shows])
def test_never_empty(fact: Fact, seen: Seen, plugins: str) -> None:
    if not deployable(fact, plugins):
        pytest.skip("refused by the bundled plugin, as another test shows")
    found = seen.unchanged[-1]
    assert found.ops[fact.name] in ("update", "replace")
    assert found.diffs[fact.name] == [fact.shows]


@pytest.mark.plugins
@named([one for one in FACTS if one.then is not None])
def test_change(fact: Fact, seen: Seen, plugins: str) -> None:
    if plugins != "official" and fact.refusal:
        pytest.skip("refused by the bundled plugin, as another test shows")
    before, after = (ids[fact.name] for ids in seen.ids)
    announced = seen.changed.changed.get(fact.name)
    wanted = {"in vain": "update", "none": None, "": None}.get(fact.change, fact.change)
    assert announced == wanted
    assert seen.settled[0].changed.get(fact.name) == wanted
    # The ids of passwords, bytes and lists tell nothing.
    if fact.kind in TABLES and not fact.kind.startswith("Random"):
        assert (before != after) == (fact.change == "replace")
    if fact.kind == "Container" and fact.change in ("in vain", "none"):
        assert seen.inspected[0][before] == seen.inspected[1][after]
    if fact.change == "in vain":
        return  # a refresh brings back what it can read
    for result in seen.settled[1:]:
        assert fact.name not in result.changed


@pytest.mark.plugins
@named([one for one in FACTS if one.refused or one.at_creation])
def test_refused(fact: Fact, project: Project, plugins: str) -> None:
    if plugins != "official" and not fact.at_creation:
        pytest.skip("asked without an engine, by another test")
    words = fact.refusal if plugins != "official" else fact.refused
    if not words:
        pytest.skip("not refused by the official plugin")
    known = f"IMAGE_ID = {IMAGE!r}\nPORTS = {[free_port() for _ in range(4)]}\n"
    refused = project.up(known + program([fact], IMAGE), ok=False)
    assert words in refused.text
    project.destroy()


# --- of the bundled plugins, without an engine


class Recorder(pulumi.runtime.Mocks):
    """Takes down the inputs of each resource instead of creating it."""

    def __init__(self) -> None:
        self.inputs: dict[str, tuple[str, dict[str, Any]]] = {}

    def new_resource(
        self, args: pulumi.runtime.MockResourceArgs
    ) -> tuple[str | None, dict[Any, Any]]:
        self.inputs[args.name] = (args.typ, args.inputs)
        return args.name, dict(args.inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], None]:
        raise AssertionError("the facts call no function")


@pytest.fixture(scope="module")
def declared() -> tuple[dict[str, Any], dict[str, Any]]:
    """Type and inputs of each fact's resource, at first and then."""
    found = []
    asyncio.set_event_loop(LOOP)
    for changed in (False, True):
        recorder = Recorder()
        pulumi.runtime.set_mocks(recorder, "facts", "test", preview=False)
        known = f"IMAGE_ID = 'sha256:{'1' * 64}'\nPORTS = [1, 2, 3, 4]\n"
        prelude = PRELUDE.format(run="00000000", here="/", label=LABEL)
        source = prelude + known + program(FACTS, IMAGE, changed=changed)

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def declare(source: str = source) -> None:
            exec(source, {"__name__": "facts"})

        declare()
        found.append(recorder.inputs)
    return found[0], found[1]


class AbortedError(Exception):
    """What the engine would be told."""


class Call:
    """The plugin's side of one call of the engine."""

    def is_active(self) -> bool:
        return True

    def abort(self, code: grpc.StatusCode, message: str) -> None:
        raise AbortedError(message)


def ask(fact: Fact, declared: tuple[dict[str, Any], dict[str, Any]], *, changed: bool) -> str:
    """What the bundled plugin says against the resource, or against its change."""
    typ, inputs = declared[0][fact.name]
    package = "docker" if typ.startswith("docker:") else "random"
    plugin = Plugin(
        package,
        "1",
        [*DOCKER, *RESOURCES],
        config={},
        configure=lambda settings: None,
        explain=lambda problem: None,
    )
    urn = f"urn:pulumi:test::facts::{typ}::{fact.name}"
    name = {"name": "n"} if fact.kind in ("Container", "Network", "Volume") else {}
    checked = plugin.Check(provider_pb2.CheckRequest(urn=urn, news=encode(name | inputs)), Call())
    if not changed or checked.failures:
        return " ".join(one.reason for one in checked.failures)
    new = encode(name | declared[1][fact.name][1])
    refused = plugin.Check(provider_pb2.CheckRequest(urn=urn, news=new), Call()).failures
    if refused:
        return " ".join(one.reason for one in refused)
    change = {
        "id": "1",
        "urn": urn,
        "olds": checked.inputs,
        "old_inputs": checked.inputs,
        "news": new,
    }
    try:
        plugin.Diff(provider_pb2.DiffRequest(**change), Call())
        plugin.Update(provider_pb2.UpdateRequest(**change, preview=True), Call())
    except AbortedError as said:
        return str(said)
    return ""


@named([one for one in FACTS if one.refusal and not one.at_creation])
def test_refused_by_the_bundled_plugin(
    fact: Fact, declared: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert fact.refusal in ask(fact, declared, changed=not fact.refuses_at_once)


@named([one for one in FACTS if not one.refusal])
def test_served_by_the_bundled_plugin(
    fact: Fact, declared: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert ask(fact, declared, changed=fact.then is not None and fact.change != "replace") == ""


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_every_input_has_a_fact_of_its_change(kind: str) -> None:
    facts = [
        one for one in FACTS if one.kind == kind and one.change in ("replace", "update", "in vain")
    ]
    told = {word for one in facts for word in one.name.split("-")}
    # RandomString takes what RandomPassword takes, from one table.
    if kind == "RandomString":
        told |= set(TABLES["RandomPassword"])
    # They have no second value here: one driver (not every kernel has macvlan), one IPAM driver,
    # and `number` is `numeric`.
    one_value = {"driver", "ipamDriver", "number"}
    # Of what draws alike, one is enough.
    alike = {"keepers"} if kind.startswith("Random") else set()
    assert set(TABLES[kind]) - told <= one_value | alike


def test_the_page_is_made_from_the_facts() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.offline.plugins.facts > " + PAGE.name


def test_names_are_unique() -> None:
    assert len({one.name for one in FACTS}) == len(FACTS)
