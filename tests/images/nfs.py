"""The NFS server's image, and the FUSE client in mlflow's, as running containers."""

import subprocess
from typing import Any

from docker.models.containers import Container

from infra.docker.artifact_mount import FOLDER, FUSE_CAPABILITIES
from infra.docker.nfs import CAPABILITIES, EXPORT, SECCOMP_PROFILE
from tests.images.sandbox import Sandbox, execute, wait_until

HOST = "nfs"
VOLUME = "/var/lib/nfs-server"
OWNER = "10001:10001"


class NfsServer:
    """A container of the server's image, from its start to its removal with the sandbox."""

    def __init__(
        self, sandbox: Sandbox, image: str, *, host: str = HOST, volume: str = "", **options: Any
    ) -> None:
        self.host = host
        self.volume = volume or sandbox.volume()
        sandbox.network.reload()
        [pool] = sandbox.network.attrs["IPAM"]["Config"]
        self.container: Container = sandbox.run(
            image,
            [],
            init=True,
            hostname=host,
            cap_add=list(CAPABILITIES),
            environment={"NFS_CLIENTS": pool["Subnet"]},
            volumes=[f"{self.volume}:{VOLUME}", *options.pop("volumes", [])],
            **{"security_opt": ["no-new-privileges", f"seccomp={SECCOMP_PROFILE.read_text()}"]}
            | options,
        )

    def is_ready(self) -> bool:
        return execute(self.container, "ready").returncode == 0

    def wait(self) -> "NfsServer":
        wait_until(self.is_ready, 120, "the NFS server is ready")
        return self

    def restart(self) -> None:
        """Kill it and start it again."""
        self.container.kill("SIGKILL")
        self.container.wait(timeout=180)
        self.container.start()


class NfsClient:
    """A container that mounts the export as a replica does, and then runs a command."""

    def __init__(
        self,
        sandbox: Sandbox,
        image: str,
        server: NfsServer,
        *command: str,
        timeout: int = 60,
        **options: Any,
    ) -> None:
        self.container: Container = sandbox.run(
            image,
            list(command or ("sleep", "infinity")),
            init=True,
            user="0:0",
            cap_add=list(FUSE_CAPABILITIES),
            devices=["/dev/fuse"],
            environment={
                "NFS_SERVER": server.host,
                "NFS_EXPORT": EXPORT,
                "NFS_TIMEOUT": str(timeout),
            }
            | options.pop("environment", {}),
            volumes=options.pop("volumes", []),
            **options,
        )

    def is_mounted(self) -> bool:
        mounts = execute(self.container, "cat", "/proc/mounts").stdout
        return f" {FOLDER} fuse.nfs " in mounts

    def wait(self) -> "NfsClient":
        wait_until(self.is_mounted, 120, "the export is mounted")
        return self

    def python(self, program: str, *arguments: str, folder: str = str(FOLDER)) -> str:
        """Run a program in the mounted folder, as the server's user; returns what it prints."""
        command = ["python3", "-I", "-c", program, *arguments]
        code, output = self.container.exec_run(command, user=OWNER, workdir=folder)
        assert isinstance(output, bytes)
        assert code == 0, output.decode()
        return output.decode().strip()

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a program as `python` does."""
        return subprocess.Popen(
            [
                *("docker", "exec", f"--user={OWNER}", f"--workdir={FOLDER}"),
                *(str(self.container.id), "python3", "-I", "-u", "-c", program, *arguments),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
