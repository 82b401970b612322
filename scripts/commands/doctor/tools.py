"""What scripts/setup makes: packages, engine, plugins, Docker, base image, state."""

import os
from collections.abc import Iterator

from scripts.commands.doctor.finding import Finding, good, wrong
from scripts.commands.setup import base_image, cluster, docker, engine, plugins
from scripts.commands.setup.source import Source
from scripts.shared import personal, venv
from scripts.shared.project import BASE_IMAGE, PASSPHRASE, pin
from scripts.stack import files, locks

SETUP = "run scripts/setup"


def packages() -> Iterator[Finding]:
    """Look at the virtual environment."""
    if venv.is_current():
        yield good("python", ".venv holds every pin of requirements.txt")
    else:
        why = "requirements.txt has changed since it was made, or it was never made"
        yield wrong("python", ".venv does not hold every pin of requirements.txt", why, SETUP)


def pulumi() -> Iterator[Finding]:
    """Look at the engine and its plugins."""
    pulumi_engine = engine.find(Source.AUTO)
    if pulumi_engine is None:
        why = f"neither PATH nor the cache has version {pin('pulumi')} or newer"
        yield wrong("engine", "no Pulumi engine", why, SETUP)
    else:
        yield good("engine", pulumi_engine.why)
    missing = plugins.missing()
    if missing:
        why = "they were never installed, or their SDK's pin has changed"
        yield wrong("plugins", f"missing: {', '.join(missing)}", why, SETUP)
    else:
        more = "" if plugins.kubernetes_built() else "; kubernetes is built at its first use"
        yield good("plugins", f"docker, kubernetes and random are there{more}")


def engine_of_containers() -> Iterator[Finding]:
    """Look at Docker, and at the image that all others start from."""
    version = docker.answering()
    if version is None:
        stale = [str(path) for path in docker.PID_FILES if docker.is_stale(path)]
        why = docker.complaint()
        if stale:
            why += f"; a daemon was killed and left {', '.join(stale)}"
        own = os.environ.get("DOCKER_HOST")
        remedy = f"start the engine at DOCKER_HOST={own}, or unset it" if own else SETUP
        yield wrong("docker", "no engine answers", why, remedy)
        return
    yield good("docker", f"engine {version} at {docker.host() or 'the default address'}")
    if base_image.is_present():
        yield good("image", f"{BASE_IMAGE} is there")
    else:
        why = "nothing was deployed here yet, or the image was removed"
        yield wrong("image", f"{BASE_IMAGE} is missing", why, SETUP)


def own_state() -> Iterator[Finding]:
    """Look at the passphrase, and at locks that a killed engine left."""
    if personal.has_passphrase(os.environ) or PASSPHRASE.exists():
        yield good("state", "passphrase is there")
    else:
        yield wrong("state", f"{PASSPHRASE} is missing", "nothing was set up here yet", SETUP)
    for stack in files.names():
        for lock in locks.held(stack):
            process = f"process {lock.pid} of {lock.host}"
            if not lock.alive:
                yield wrong(
                    "state",
                    f"{stack} is locked by {process}, which is dead",
                    "pulumi was killed",
                    f". scripts/activate; pulumi cancel -s {stack}; pulumi up --refresh -s {stack}",
                )
            else:
                yield good("state", f"{stack}: pulumi is at work ({process})")


def test_cluster() -> Iterator[Finding]:
    """Look at the test cluster where a stack that is deployed needs it."""
    running = cluster.runs()
    # Else this is a Python without the project's packages, as `packages` says.
    for stack in files.names() if venv.is_current() else ():
        from scripts.stack import snapshot

        if cluster.wanted([stack]) and not running and snapshot.read(stack).resources:
            yield wrong(
                "cluster",
                f"{stack} is deployed to {cluster.CONTEXT}, which does not run",
                "the test cluster was ended, or the machine was restarted",
                "scripts/offline/cluster up; pulumi refresh -s " + stack,
            )
    if running:
        yield good("cluster", f"{cluster.CONTEXT} runs")
