"""Rules over several properties of a container. Values may be unknown."""

import base64
import binascii
from pathlib import PurePosixPath

from scripts.offline.plugins.docker_resources.container.uploads import SOURCES
from scripts.offline.plugins.protocol.codec import Properties, Unknown
from scripts.offline.plugins.protocol.schema import Failure


def check(inputs: Properties) -> list[Failure]:
    """Everything that cannot go together."""
    return [
        *_networks(inputs),
        *_ports(inputs),
        *_life_cycle(inputs),
        *_uploads(inputs),
        *_volumes(inputs),
        *_read_back(inputs),
    ]


def _known_list(inputs: Properties, name: str) -> list[Properties]:
    value = inputs.get(name)
    if value is None or isinstance(value, Unknown):
        return []
    return [item for item in value if not isinstance(item, Unknown)]


def _networks(inputs: Properties) -> list[Failure]:
    mode = inputs.get("networkMode")
    if inputs.get("networksAdvanced") and mode not in (None, "bridge"):
        reason = f"'networkMode' {mode!r} cannot be combined with 'networksAdvanced': give one"
        return [Failure("networkMode", reason)]
    return []


def _ports(inputs: Properties) -> list[Failure]:
    failures = []
    seen: set[int] = set()
    for index, port in enumerate(_known_list(inputs, "ports")):
        internal = port["internal"]
        if isinstance(internal, Unknown):
            continue
        if internal in seen:
            path = f"ports[{index}].internal"
            reason = f"'{path}' is there twice: the order of the two changes for ever"
            failures.append(Failure(path, reason))
        seen.add(internal)
    return failures


def _read_back(inputs: Properties) -> list[Failure]:
    """What the official plugin reads back in another form, and would change for ever."""
    failures = []
    if inputs.get("memorySwap") == 0:
        failures.append(Failure("memorySwap", "'memorySwap' must be -1 or at least 1"))
    capabilities = inputs.get("capabilities")
    if isinstance(capabilities, dict) and not any(capabilities.values()):
        reason = "'capabilities' must add or drop one: leave it out"
        failures.append(Failure("capabilities", reason))
    if inputs.get("privileged") is True and inputs.get("securityOpts"):
        reason = "'securityOpts' cannot be combined with 'privileged', which adds its own"
        failures.append(Failure("securityOpts", reason))
    return failures


def _life_cycle(inputs: Properties) -> list[Failure]:
    failures = []
    if inputs.get("start") is False:
        if inputs.get("mustRun") is not False:
            reason = "'mustRun' must be false where 'start' is: it is read back as false"
            failures.append(Failure("mustRun", reason))
        if inputs.get("attach") is True:
            reason = "'attach' waits for the end of what 'start' must begin: leave 'start' out"
            failures.append(Failure("attach", reason))
    if inputs.get("logs") is True and inputs.get("attach") is not True:
        failures.append(Failure("logs", "'logs' needs 'attach': only a finished log is kept"))
    if inputs.get("attach") is True:
        if inputs.get("mustRun") is not False:
            reason = "'attach' waits for the container's end, so 'mustRun' must be false"
            failures.append(Failure("mustRun", reason))
        if inputs.get("rm") is True:
            reason = "'rm' cannot be combined with 'attach': the exit code would go with it"
            failures.append(Failure("rm", reason))
        if inputs.get("wait") is True:
            reason = "'wait' cannot be combined with 'attach': give one"
            failures.append(Failure("wait", reason))
        if inputs.get("restart") not in (None, "no", "on-failure"):
            reason = "'restart' must let the container end when 'attach' waits for that"
            failures.append(Failure("restart", reason))
    if inputs.get("rm") is True and inputs.get("restart") not in (None, "no"):
        failures.append(Failure("restart", "'restart' cannot be combined with 'rm': give one"))
    return failures


def _uploads(inputs: Properties) -> list[Failure]:
    failures = []
    if inputs.get("uploads") and inputs.get("readOnly") is True:
        reason = (
            "'uploads' cannot be combined with 'readOnly': they are extracted at /, which Docker "
            "refuses. Fill the volume by another container, which need not be started"
        )
        failures.append(Failure("uploads", reason))
    tmpfs = inputs.get("tmpfs")
    hidden = {} if tmpfs is None or isinstance(tmpfs, Unknown) else tmpfs
    for index, upload in enumerate(_known_list(inputs, "uploads")):
        path = f"uploads[{index}]"
        sources = [name for name in SOURCES if upload.get(name) is not None]
        if len(sources) != 1:
            reason = f"'{path}' needs one of {', '.join(SOURCES)}, but has {len(sources)}"
            failures.append(Failure(path, reason))
        encoded = upload.get("contentBase64")
        if isinstance(encoded, str) and not _is_base64(encoded):
            reason = f"'{path}.contentBase64' is not base64"
            failures.append(Failure(f"{path}.contentBase64", reason))
        file = upload["file"]
        if isinstance(file, str):
            parents = PurePosixPath(file).parents
            for mount in hidden:
                if PurePosixPath(mount) in parents:
                    reason = f"'{path}.file' is below the tmpfs {mount}, which hides it at start"
                    failures.append(Failure(f"{path}.file", reason))
    return failures


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    return True


def _volumes(inputs: Properties) -> list[Failure]:
    failures = []
    for index, volume in enumerate(_known_list(inputs, "volumes")):
        path = f"volumes[{index}]"
        sources = [name for name in ("volumeName", "hostPath", "fromContainer") if volume.get(name)]
        if len(sources) > 1:
            reason = f"'{path}' must have one of {' and '.join(sources)}"
            failures.append(Failure(path, reason))
        if "fromContainer" not in sources and not volume.get("containerPath"):
            reason = f"'{path}.containerPath' is required"
            failures.append(Failure(f"{path}.containerPath", reason))
    return failures
