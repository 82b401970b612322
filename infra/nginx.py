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

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from infra.outputs import REPLICA_HEADER
from infra.server import KEEP_ALIVE_SECONDS

CONFIGURATION_FILE = "/etc/nginx/deployment/nginx.conf"
"""Where the image's nginx reads the configuration."""

PORT = 8080
"""Port of the load balancer inside its container."""

STATUS_PORT = 8081
"""Port of `/nginx-status` inside its container."""

UPSTREAM_KEEP_ALIVE_SECONDS = KEEP_ALIVE_SECONDS - 15
"""Idle time of a connection to a replica; shorter than the replica's own, which would otherwise
close one just as a POST is sent on it: an error that may not be repeated elsewhere."""

CONNECT_SECONDS = 2
"""A busy replica's kernel accepts at once, so only a missing one takes longer; above 1 s, after
which a lost SYN is sent again."""

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


@dataclass(frozen=True, order=True)
class Replica:
    """Where a tracking server listens."""

    address: IPv4Address
    port: int
    name: str
    """Of its component, as `mlflow-a-1`: each answer says who gave it."""


TRACKING_FILE = "/tmp/tracking.conf"
"""What the image's entrypoint writes: the DNS servers, and `$tracking`, where requests go."""


def configuration(replicas: tuple[Replica, ...]) -> str:
    """Return nginx.conf for `replicas` at fixed addresses.

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
    )


def configuration_by_name() -> str:
    """Return nginx.conf for replicas that are found by the name in TRACKING_SERVICE."""
    # Pods have no names here that outlive them: their addresses have to do.
    return _text(f"    include {TRACKING_FILE};", "$tracking", "        default $upstream_addr;")


def _text(upstream: str, tracking: str, names: str) -> str:
    return f"""\
worker_processes 2;
daemon off;
pid /tmp/nginx.pid;
error_log stderr warn;

events {{
    worker_connections 8192;
}}

http {{
    # One JSON object a line; times in seconds. Where a request was passed on, the upstream's
    # values are lists.
    log_format json escape=json '{{'
        '"time":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
        '"uri":"$request_uri","status":$status,"received":$request_length,"sent":$bytes_sent,'
        '"seconds":$request_time,"upstream":"$upstream_addr",'
        '"upstream_status":"$upstream_status","connect":"$upstream_connect_time",'
        '"header":"$upstream_header_time","response":"$upstream_response_time"}}';
    access_log /dev/stdout json;
    server_tokens off;

    # Only /tmp can be written to; nginx makes these folders though it puts nothing there.
    client_body_temp_path /tmp/client-body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    scgi_temp_path /tmp/scgi;
    uwsgi_temp_path /tmp/uwsgi;

{upstream}

    map $upstream_addr $replica {{
{names}
    }}
    add_header {REPLICA_HEADER} $replica always;

    map $http_x_forwarded_proto $forwarded_proto {{
        default $scheme;
        http http;
        https https;
    }}

    # No limit that the tracking server does not have: bodies of any size, and request lines as
    # long as uvicorn takes them (searches and metric histories name many runs).
    client_max_body_size 0;
    large_client_header_buffers 4 64k;

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    # MLflow compares the name and port that the client asked for with its allowed hosts.
    proxy_set_header Host $http_host;
    # What a proxy in front says stays: that it ended TLS, and for whom it asks. Anyone can say so;
    # the tracking server decides nothing by it (uvicorn believes it of 127.0.0.1 only).
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $forwarded_proto;

    # A request goes to the next replica when none has seen it, or when it is safe to repeat. A
    # POST that was sent may have been executed: it fails (never add `non_idempotent` here).
    proxy_next_upstream error timeout;
    proxy_connect_timeout {CONNECT_SECONDS}s;

    # Bodies go on as they come: an artifact takes no room and no time here. A slow client holds
    # no thread of the server either, which collects a body before it starts one.
    proxy_request_buffering off;
    client_body_buffer_size 128k;

    # Answers are taken from the server at once, up to 272 KiB, and never written to a file.
    proxy_buffer_size 16k;
    proxy_buffers 16 16k;
    proxy_busy_buffers_size 64k;
    proxy_max_temp_file_size 0;

    server {{
        listen {PORT} default_server;

        location / {{
            if ($request_method ~ ^(GET|HEAD)$) {{
                return 418;
            }}
            error_page 418 = @read;
            proxy_pass http://{tracking};
            proxy_read_timeout {API_SILENCE_SECONDS}s;
            proxy_send_timeout {API_SILENCE_SECONDS}s;
        }}

        location @read {{
            proxy_pass http://{tracking};
            proxy_read_timeout {READ_SILENCE_SECONDS}s;
        }}

        # Of one replica, whichever: for those who ask each of them.
        location = /metrics {{
            return 404;
        }}

        # It waits for the artifact store: no replica is to be left out for that.
        location ~ ^/(ajax-)?api/[0-9.]+/mlflow/artifacts/list {{
            proxy_pass http://{tracking};
            proxy_read_timeout {API_SILENCE_SECONDS}s;
        }}

        location ~ ^/(ajax-)?api/[0-9.]+/mlflow-artifacts/ {{
            proxy_pass http://{tracking};
            proxy_read_timeout {STREAM_SILENCE_SECONDS}s;
            proxy_send_timeout {STREAM_SILENCE_SECONDS}s;
        }}

        # The gateway's answers are events, to be passed on one by one.
        location /gateway/ {{
            proxy_pass http://{tracking};
            proxy_buffering off;
            proxy_read_timeout {STREAM_SILENCE_SECONDS}s;
        }}
    }}

    server {{
        listen {STATUS_PORT};
        access_log off;

        location = /nginx-status {{
            stub_status;
        }}

        location / {{
            return 404;
        }}
    }}
}}
"""
