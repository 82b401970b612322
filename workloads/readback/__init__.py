"""Reading everything back after the load, from every place that has to hold it.

Through each replica of the tracking server by itself, or through the address where replicas have
none of their own; from PostgreSQL; from the artifact store. `workloads.readback.lines` describes
the file that is left.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import gevent  # type: ignore[import-untyped]

from infra.outputs import Target
from workloads import error_summary
from workloads.history.history import Appender, Kind, Operation
from workloads.readback import postgres, stores
from workloads.readback.archive import Archive
from workloads.readback.attempted import Attempted
from workloads.readback.lines import Lines
from workloads.readback.server import Server
from workloads.target import access
from workloads.target.target import Subject

ADDRESS = "address"
POSTGRES = "postgres"


def read_back(
    subject: Subject,
    experiment_id: str,
    operations: Iterable[Operation],
    path: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Read what `operations` speak of from the subject, and write it to `path`.

    `progress` gets the number of runs and models read and of all that are known of.
    """
    attempted = Attempted(operations)
    out = Appender(path)
    archive = Archive()
    servers = list(_servers(subject, experiment_id, attempted, archive, out))
    known = len(servers) * (len(attempted.runs) + len(attempted.models) + len(attempted.registered))
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress(done, max(done, known))

    with access.trusting(_ca_file(subject.target)):
        reading = [gevent.spawn(server.read, tick) for server in servers]
        gevent.joinall(reading, raise_error=True)
    _database(subject, experiment_id, attempted, Lines(out, POSTGRES))
    _store(subject, experiment_id, attempted, archive, out)
    out.close()


def _ca_file(target: Target | None) -> Path | None:
    """Return what replicas are verified by at their own addresses, where they speak TLS."""
    files = [component.ca_file for component in target.components] if target else []
    return next((Path(file) for file in files if file), None)


def _servers(
    subject: Subject, experiment_id: str, attempted: Attempted, archive: Archive, out: Appender
) -> Iterator[Server]:
    """Yield a reader for each replica that has an address of its own, else for the address."""
    target = subject.target
    reached = [c for c in target.components if c.kind == "mlflow" and c.audit] if target else []
    for replica in reached:
        lines = Lines(out, replica.name)
        assert replica.audit_uri
        yield Server(replica.audit_uri, experiment_id, attempted, archive, lines)
    if not reached:
        lines = Lines(out, ADDRESS)
        yield Server(subject.tracking_uri, experiment_id, attempted, archive, lines)
    if target and len(reached) < target.replicas:
        Lines(out, "replicas").not_done(
            f"{len(reached)} of {target.replicas} replicas were read by themselves: the others "
            "have no address past the load balancer"
        )


def _database(subject: Subject, experiment_id: str, attempted: Attempted, lines: Lines) -> None:
    target, secrets = subject.target, subject.secrets
    if target is None or secrets is None:
        lines.not_done("PostgreSQL was not read itself: its address is not known")
        return
    try:
        postgres.read(
            target.backend_store, secrets.database_password, experiment_id, attempted, lines
        )
    except Exception as error:
        if _own(target, POSTGRES):
            lines.begin(postgres.HOLDS, error)
        else:
            lines.not_done(f"the external database was not read itself: {error_summary(error)}")


def _store(
    subject: Subject, experiment_id: str, attempted: Attempted, archive: Archive, out: Appender
) -> None:
    target, secrets = subject.target, subject.secrets
    lines = Lines(out, target.artifacts if target else "artifact store")
    if target is None or secrets is None:
        lines.not_done("the artifact store was not read itself: its address is not known")
        return
    try:
        stores.read(target, secrets.s3_credentials, experiment_id, attempted, archive, lines)
    except stores.UnreachableStoreError as error:
        lines.not_done(f"the artifact store was not read itself: {error}")
    except Exception as error:
        if _own(target, "minio", "seaweedfs", "nfs") or target.artifacts == "volume":
            lines.begin({Kind.ARTIFACT}, error)
        else:
            lines.not_done(
                f"the external artifact store was not read itself: {error_summary(error)}"
            )


def _own(target: Target, *kinds: str) -> bool:
    """Whether the stack runs a component of one of these kinds itself."""
    return any(component.kind in kinds for component in target.components)
