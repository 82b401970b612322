"""docs/troubleshooting.md, from the known causes.

Written with `python -m scripts.commands.doctor.page > docs/troubleshooting.md`.
"""

import sys

from scripts.commands.doctor.causes import CAUSES

HEAD = """# Troubleshooting

    ./scripts/doctor             # what is wrong here, why, and what to do; changes nothing
    ./scripts/doctor --all       # what is well, too
    ./scripts/doctor multi-az    # of the stacks only this one

It looks at processors, memory and disk, the packages, the engine and its plugins, Docker, the base
image, state and locks, the test cluster, every port of the stack files, each container of a
deployed stack with its recent log, and asks the tracking server something that needs its
database. Exit status: 0 all is well, 1 something is wrong.

| what you see | what to do |
|---|---|
| `up` says that a port is taken | `pulumi config set -s STACK port 5001`, or end the program \
that has it |
| `up` says that `localhost` leads to `[::1]` first | another program listens at that port for \
IPv6; on macOS 5000 is AirPlay Receiver's (System Settings, General, AirDrop & Handoff): turn it \
off, or take another port |
| `up` says that `DOCKER_HOST` is another machine | a stack's ports are opened where the engine \
is, those for checks on its loopback: run the commands there |
| `up` finds no free subnet | routes of a VPN cover the private ranges: `pulumi config set -s \
STACK subnets 10.200.0.0/24`, one for each zone, where none leads |
| the first `up` was killed | `./scripts/bench STACK` removes what it left |
| a later `up` was killed | `pulumi cancel -s STACK`, then `pulumi up --refresh -s STACK` |
| a state cannot be read | what is said with it: backend, log-in or passphrase; nothing was done |
| `pulumi up` ends in `grpc … failed to connect to all addresses` | `. scripts/activate`, or \
`export no_proxy=localhost,127.0.0.1,::1`: with `http_proxy` alone, Pulumi's Python asks the \
engine through the proxy |
| a run is *invalid* | the machine was busy, or the load generator was the limit: see the reason |
| `bench --compare` was interrupted | `./scripts/bench --compare --resume` |
| a client warns `A value has a NUL character` or `half of a surrogate pair` | the batch with it \
is refused: take such characters out of names, tags, users and sessions before they are sent; \
attributes of spans may have them |
| a trace has its spans in the web interface, and a search of spans does not find it | its batch \
was refused, and the client stored it as a file: see its warning, and \
[known troubles of traces](traces.md#known-troubles) |
| a deleted trace is there again | spans of it came later \
([known troubles of traces](traces.md#known-troubles)): delete it once its services are done |
| a stack on the test cluster is gone | `scripts/offline/cluster up`, then `pulumi up` |

## Lines of logs, and what they come from

This part is written by `python -m scripts.commands.doctor.page` from what the doctor knows.

| the line has | why | what to do |
|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    rows = []
    for cause in CAUSES:
        pattern = cause.pattern.replace("|", "\\|")
        rows.append(f"| `{pattern}` | {cause.why} | {cause.remedy} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(page())
