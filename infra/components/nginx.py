"""The load balancer's nginx.conf as a function of the replicas behind it.

Directives and their defaults: nginx.org/en/docs/http/ngx_http_upstream_module.html and
ngx_http_proxy_module.html, as of nginx 1.26. On Docker, replicas are given by address, not by
name: this nginx looks the names of an `upstream` up once, at its start, and does not start while
one of them is unknown, as that of a stopped container is. So a replica keeps its address when its
container is replaced.

On Kubernetes pods come and go with addresses of their own. There the address to pass a request on
to is a variable, whose name nginx looks up again as soon as it is older than a second: it gets all
ready pods, takes them by chance, and goes on to the next as on Docker. What an `upstream` has
beside (least connections, idle connections, leaving a failed one out) is not to be had with that
before nginx 1.27.3, and a reload at each change would close the idle connections of clients, one
of which may just send a request.
"""

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from infra.components.secret_files import (
    REPLICAS_CA,
    SECRETS_FOLDER,
    TLS_CERTIFICATE_FILE,
    TLS_KEY_FILE,
)
from infra.components.server import KEEP_ALIVE_SECONDS, TLS_NAME
from infra.outputs import REPLICA_HEADER

CONFIGURATION_FILE = "/etc/nginx/deployment/nginx.conf"
"""Where the image's nginx reads the configuration."""

PORT = 8080
"""Port of the load balancer inside its container."""

STATUS_PORT = 8081
"""Port of `/nginx-status` inside its container."""

READY_PORT = 8082
"""Port on the loopback of its container where `/health` is asked for without TLS, if there is."""

UPSTREAM_KEEP_ALIVE_SECONDS = KEEP_ALIVE_SECONDS - 15
"""Idle time of a connection to a replica; shorter than the replica's own, which would otherwise
close one just as a POST is sent on it: an error that may not be repeated elsewhere."""

CONNECT_SECONDS = 2
"""A busy replica's kernel accepts at once, so only a missing one takes longer; above 1 s, after
which a lost SYN is sent again."""

HANDSHAKE_SECONDS = 5
"""The same where replicas speak TLS: nginx has one limit for both, and to answer a handshake is
the work of the replica itself, which a busy one comes to late."""

API_SILENCE_SECONDS = 60
"""Longest wait for an answer. Half of the MLflow client's 120 s: a frozen replica is then found
and left out by the load balancer, not by the patience of each client."""

READ_SILENCE_SECONDS = 30
"""The same for what is only read, which may be asked elsewhere. Well above what busy servers take:
they would be left out as frozen. A p95 of 15 s was seen on a machine with far too much to do."""

STREAM_SILENCE_SECONDS = 600
"""The same for artifacts, where the server may still store gigabytes after the last byte came."""

FAILURES = 2
"""Failures within `LEFT_OUT_SECONDS` that leave a replica out for as long. A dead replica gives
them at once; a single broken connection, which proves little, does not cost a replica."""

LEFT_OUT_SECONDS = 5
"""After this a replica gets a request again: the delay until a healed one is used."""

SHED = {
    "error_code": "TEMPORARILY_UNAVAILABLE",
    "message": "No tracking server was there for this request. Nothing was done: send it again.",
}
"""Answer to a write that no replica was sent any part of, as MLflow words its errors.

Without `Retry-After`: mlflow's client would wait so long between its eight tries instead of 0, 4,
8 … 120 s, and give up after seven times as long, where it now lasts four minutes.
"""


@dataclass(frozen=True, order=True)
class Replica:
    """Where a tracking server listens."""

    address: IPv4Address
    port: int
    name: str
    """Of its component, as `mlflow-a-1`: each answer says who gave it."""


TEMPLATE = Path(__file__).with_name("nginx.conf.template")
"""The configuration with `@names@` for what differs and for the times above."""

TRACKING_FILE = "/tmp/tracking.conf"
"""What the image's entrypoint writes: the DNS servers, and `$tracking`, where requests go."""


def ready_command(tls: bool) -> list[str]:
    """Return the check of the image, which speaks no TLS."""
    return ["ready", str(READY_PORT)] if tls else ["ready"]


def configuration(
    replicas: tuple[Replica, ...], tls: bool = False, *, tls_inside: bool = False
) -> str:
    """Return nginx.conf for `replicas` at fixed addresses; with `tls`, clients have to use it.

    With `tls_inside`, replicas do, and show a certificate for `TLS_NAME`.

    Raises `ValueError` when there is none, or one is given twice.
    """
    if not replicas:
        raise ValueError("a load balancer needs at least one replica")
    if len({(replica.address, replica.port) for replica in replicas}) < len(replicas):
        raise ValueError("a replica is given twice to the load balancer")
    servers = "\n".join(
        f"        server {replica.address}:{replica.port}"
        f" max_fails={FAILURES} fail_timeout={LEFT_OUT_SECONDS}s;"
        for replica in replicas
    )
    # Where a request was passed on, the variable lists all addresses, and the last one answered.
    names = "\n".join(
        f"        ~(^|[\\s,]){re.escape(f'{replica.address}:{replica.port}')}$ {replica.name};"
        for replica in replicas
    )
    return _text(
        f"""\
    upstream tracking {{
        # Shared by the processes of nginx: how busy a replica is, and whether it failed.
        zone tracking 256k;
        least_conn;
{servers}
        keepalive 64;
        keepalive_timeout {UPSTREAM_KEEP_ALIVE_SECONDS}s;
    }}""",
        "tracking",
        names,
        tls,
        tls_inside,
    )


def configuration_by_name(tls: bool = False, *, tls_inside: bool = False) -> str:
    """Return the same for replicas that are found by the name in TRACKING_SERVICE."""
    # Pods have no names here that outlive them: their addresses have to do.
    names = "        default $upstream_addr;"
    return _text(f"    include {TRACKING_FILE};", "$tracking", names, tls, tls_inside)


_TLS = f"""\
        listen {PORT} ssl default_server;
        ssl_certificate {SECRETS_FOLDER}/{TLS_CERTIFICATE_FILE};
        ssl_certificate_key {SECRETS_FOLDER}/{TLS_KEY_FILE};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:10m;
        ssl_session_timeout 1h;
        ssl_session_tickets off;
        # A redirect would let clients send their passwords in the clear, again and again.
        error_page 497 =400 @plain;
        location @plain {{
            default_type text/plain;
            return 400 "This port speaks TLS only: use https:// in the address.\\n";
        }}
"""

_TLS_INSIDE = f"""
    # A replica that cannot show this is none: it gets no request, and the next one is asked.
    proxy_ssl_verify on;
    proxy_ssl_verify_depth 1;
    proxy_ssl_trusted_certificate {SECRETS_FOLDER}/{REPLICAS_CA};
    proxy_ssl_name {TLS_NAME};
    proxy_ssl_server_name on;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
"""

_READY = f"""\
    server {{
        listen 127.0.0.1:{READY_PORT};
        access_log off;

        location = /health {{
            proxy_pass @scheme@://@tracking@;
        }}

        location / {{
            return 404;
        }}
    }}

"""


def _text(upstream: str, tracking: str, names: str, tls: bool, tls_inside: bool) -> str:
    scheme = "https" if tls_inside else "http"
    ready = _READY.replace("@tracking@", tracking).replace("@scheme@", scheme)
    values = {
        "upstream": upstream,
        "tracking": tracking,
        "scheme": scheme,
        "tls_inside": _TLS_INSIDE if tls_inside else "",
        "names": names,
        "listen": _TLS if tls else f"        listen {PORT} default_server;\n",
        "ready": ready if tls else "",
        "API_SILENCE_SECONDS": API_SILENCE_SECONDS,
        "CONNECT_SECONDS": HANDSHAKE_SECONDS if tls_inside else CONNECT_SECONDS,
        "READ_SILENCE_SECONDS": READ_SILENCE_SECONDS,
        "SHED": json.dumps(SHED),
        "REPLICA_HEADER": REPLICA_HEADER,
        "STATUS_PORT": STATUS_PORT,
        "STREAM_SILENCE_SECONDS": STREAM_SILENCE_SECONDS,
    }
    return re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), TEMPLATE.read_text())
