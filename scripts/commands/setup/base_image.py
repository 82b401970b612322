"""The image that every image of the project starts from."""

from scripts.commands.setup.source import Source
from scripts.offline import base_image as offline
from scripts.shared import machine, ui
from scripts.shared.project import BASE_IMAGE, LOGS

PART = "image"


def ensure(source: Source) -> str:
    """Find, pull or make the base image; return a line that says which."""
    if is_present():
        return f"{BASE_IMAGE} is there"
    with machine.one_at_a_time(PART) as scratch:
        if is_present():
            return f"{BASE_IMAGE} is there"
        reason = "--offline was given"
        if source is not Source.OFFLINE:
            try:
                argv = ["docker", "pull", BASE_IMAGE]
                what = f"pulling {BASE_IMAGE}"
                took = ui.run(PART, what, argv, log=LOGS / "pull.log", timeout=300)
                return f"{BASE_IMAGE} pulled in {ui.elapsed(took)}"
            except ui.CommandError as error:
                if source is Source.ONLINE:
                    raise
                reason = "no image registry answers"
                if not machine.debian_root():
                    raise ui.SetupError(
                        f"{error}; bring {BASE_IMAGE} to this engine with docker load, then run "
                        "this again"
                    ) from error
        if not machine.debian_root():
            raise ui.SetupError(f"{BASE_IMAGE} can be made with debootstrap only as root on Debian")
        took = offline.build(BASE_IMAGE, scratch)
        return f"{BASE_IMAGE} made with debootstrap in {ui.elapsed(took)} ({reason})"


def is_present() -> bool:
    """Tell whether the engine has the image."""
    return (
        machine.output(["docker", "image", "inspect", "--format", "{{.Id}}", BASE_IMAGE])
        is not None
    )
