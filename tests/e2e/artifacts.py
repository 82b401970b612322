"""What a test sees of artifacts beside MLflow: the bucket itself, and a replica's memory."""

import configparser
import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]
import requests
from docker.models.containers import Container

BLOCK = 2**20
ROUTE = "/api/2.0/mlflow-artifacts/artifacts"


class Bucket:
    """The artifact store of a stack as checks reach it."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        keys = configparser.ConfigParser()
        keys.read_string(outputs["audit_secrets"]["s3_credentials"])
        store = outputs["target"]["artifact_store"]
        self.name = str(store["uri"]).removeprefix("s3://")
        self.client = boto3.session.Session().client(
            "s3", endpoint_url=store["endpoint"], region_name=store["region"], **keys["default"]
        )

    def objects(self, prefix: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [str(one["Key"]) for one in found.get("Contents", ())]

    def uploads(self, key: str) -> int:
        """Return how many multipart uploads of an object have no end yet."""
        found = self.client.list_multipart_uploads(Bucket=self.name, Prefix=key)
        return len(found.get("Uploads", ()))


class File:
    """A file of a size that only passes by, with the digest of what was read of it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.digest = hashlib.sha256()
        self._left = size
        self._block = bytes(range(256)) * (BLOCK // 256)

    def __len__(self) -> int:
        return self.size

    def read(self, _: int = -1) -> bytes:
        block = self._block[: min(BLOCK, self._left)]
        self._left -= len(block)
        self.digest.update(block)
        return block


def upload(uri: str, name: str, size: int) -> str:
    """Send a file through the server and return its digest."""
    file = File(size)
    requests.put(f"{uri}{ROUTE}/{name}", data=file, timeout=120).raise_for_status()
    return file.digest.hexdigest()


def download(uri: str, name: str) -> str:
    """Take a file from the server and return its digest."""
    digest = hashlib.sha256()
    with requests.get(f"{uri}{ROUTE}/{name}", stream=True, timeout=120) as answer:
        answer.raise_for_status()
        for block in answer.iter_content(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def interrupted(uri: str, name: str, size: int) -> Iterator[None]:
    """Have sent half of an upload, and cut it off at the end."""
    address = urlsplit(uri)
    with ExitStack() as opened:
        plain = socket.create_connection((address.hostname, address.port), timeout=60)
        connection = opened.enter_context(plain)
        if address.scheme == "https":
            context = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
            encrypted = context.wrap_socket(plain, server_hostname=address.hostname)
            connection = opened.enter_context(encrypted)
        connection.sendall(
            f"PUT {ROUTE}/{name} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Length: {size}\r\n\r\n".encode()
        )
        connection.sendall(bytes(size // 2))
        yield


@contextmanager
def growth(containers: list[Container]) -> Iterator[list[int]]:
    """Give the bytes by which the memory of any has grown at most, a value once it has ended.

    Cached files do not count.
    """
    before = [memory(one) for one in containers]
    peak = list(before)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            peak[:] = [max(known, memory(one)) for known, one in zip(peak, containers, strict=True)]

    watching = threading.Thread(target=watch)
    watching.start()
    grown: list[int] = []
    try:
        yield grown
    finally:
        ended.set()
        watching.join()
    grown.append(max(after - first for after, first in zip(peak, before, strict=True)))


def memory(container: Container) -> int:
    stats: Any = container.stats(stream=False, one_shot=True)
    details = stats["memory_stats"]["stats"]
    return int(details.get("rss", details.get("anon", 0)))
