"""What known lines of logs come from, and what helps."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """A known cause: the pattern of its log line, what it is, and what to do."""

    pattern: str
    why: str
    remedy: str


CAUSES = (
    Cause(
        r"QueuePool limit of size \d+ overflow \d+ reached",
        "more requests were in flight than the connection pool has room for; MLflow's log_batch "
        "holds one connection while it opens a second, and the client gets HTTP 400, which it "
        "does not repeat: that write is lost to the user",
        "raise `workers` or `replicas` of the stack (pools follow); on a server of your own set "
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE to twice its threads",
    ),
    Cause(
        r"Invalid Host header(?!: elsewhere\.invalid)",  # which each deployment asks by, to see
        "a client used a name that the server was not told of; MLflow compares it exactly",
        "add the name: pulumi config set -s STACK allowed_hosts NAME, then pulumi up",
    ),
    Cause(
        r"too many clients already|remaining connection slots are reserved",
        "PostgreSQL has fewer connections than replicas x workers x pools may open",
        "give the database max_connections for them; a stack's own database follows `workers` and "
        "`replicas` at the next pulumi up",
    ),
    Cause(
        r"upstream prematurely closed connection",
        "a replica closed a connection that nginx was about to use: it crashed, or it keeps idle "
        "connections for a shorter time than nginx does",
        "look for a restart of that replica; on a server of your own keep --timeout-keep-alive "
        "above the proxy's keepalive_timeout",
    ),
    Cause(
        r"no live upstreams",
        "nginx sees no replica that serves",
        "see why the replicas do not: docker logs of each mlflow container",
    ),
    Cause(
        r"upstream timed out \(110",
        "a replica did not answer within the proxy's time: it is frozen or has too much to do",
        "see whether its container is paused or at its CPU limit; raise `replicas` or `workers`",
    ),
    Cause(
        r"oidc: \S+: .*; (nobody gets in by it|its former keys are used on)",
        "the identity provider does not answer this server, or not as one: who has a session or a "
        "token by a key that is known goes on, nobody else gets in but `admin`",
        "start the provider, or have the servers' network reach it; if its address or authority "
        "has changed: pulumi config set -s STACK --path oidc.issuer, or oidc.ca, then pulumi up",
    ),
    Cause(
        r"upstream SSL certificate",
        "a replica shows nginx a certificate that is not by the stack's own authority, or not for "
        "a replica: it is of before the last deployment, or it is no replica",
        "pulumi up --refresh -s STACK",
    ),
    Cause(
        r"no pg_hba\.conf entry for host .*no encryption",
        "a client came to PostgreSQL without TLS, which a stack with `tls_inside` does not let in",
        "have it use sslmode=verify-full, with the file of the output `target`, "
        "`backend_store.ca_file`, as sslrootcert",
    ),
    Cause(
        r"client intended to send too large body|413 Request Entity Too Large",
        "a proxy in front refuses artifacts above its limit (nginx's default is 1 MB)",
        "set client_max_body_size 0 in that proxy; the stacks' own nginx has no limit",
    ),
    Cause(
        r"No module named 'psycopg2?'",
        "the database URI names a driver that the image lacks; SQLAlchemy 2.1 takes postgresql:// "
        "to mean psycopg 3",
        "write postgresql+psycopg2:// in the URI, or install that driver",
    ),
    Cause(
        r"No space left on device|could not extend file|errno 28",
        "a volume or the temporary folder for uploads is full",
        "see which by `docker system df -v` and `df -h`; make room or a larger volume",
    ),
    Cause(
        r"Child process \[\d+\] died|Waiting for child process \[\d+\]",
        "a worker process was ended: out of memory, or busy for longer than the supervisor's ping "
        "allows",
        "raise `mlflow_memory`, or lower `workers`; see the kernel's log for an OOM kill",
    ),
    Cause(
        r"password authentication failed",
        "the database has another password than the servers were given",
        "bring both together: pulumi up -s STACK; of a database of your own, set it anew with "
        "pulumi config set --secret",
    ),
    Cause(
        r"Detected out-of-date database schema|Can't locate revision identified by",
        "the database belongs to another release of MLflow",
        "deploy again, so that the schema job upgrades it or says why it cannot",
    ),
    Cause(
        r"InvalidAccessKeyId|SignatureDoesNotMatch|NoSuchBucket|AccessDenied",
        "the artifact store refuses the server's keys, or has no such bucket",
        "compare the stack file's bucket and keys with the store; pulumi up checks both",
    ),
    Cause(
        r"Stale file handle|nfs: server \S+ not responding",
        "the NFS server was restarted with another export, or does not answer",
        "start the NFS server; replace the replicas if handles stay stale: pulumi up -s STACK",
    ),
)


def explain(lines: Iterable[str]) -> Iterator[tuple[Cause, int, str]]:
    """Yield each known cause that some lines speak of, how often, and the last such line."""
    counts: dict[Cause, int] = {}
    last: dict[Cause, str] = {}
    known = [(cause, re.compile(cause.pattern, re.IGNORECASE)) for cause in CAUSES]
    for line in lines:
        for cause, pattern in known:
            if pattern.search(line):
                counts[cause] = counts.get(cause, 0) + 1
                last[cause] = line.strip()[:160]
                break
    for cause, count in counts.items():
        yield cause, count, last[cause]
