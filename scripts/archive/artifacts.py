"""A stack's artifacts through a tracking server: the same way for every kind of store.

Routes: those of MLflow's own client for `mlflow-artifacts:` (mlflow-artifacts/artifacts).
"""

import contextlib
import hashlib
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from workloads.target.http_options import http_options

WORKERS = 6
AHEAD = 2 * WORKERS
"""Artifacts that are here before they are asked for, each in a file where it is not small."""

IN_MEMORY = 4 << 20
BLOCK = 1 << 20
SECONDS = 600

_local = threading.local()


class Artifacts:
    """The artifact store behind a tracking server; all raise `requests.RequestException`."""

    def __init__(self, uri: str) -> None:
        self._root = f"{uri}/api/2.0/mlflow-artifacts/artifacts"

    def paths(self) -> list[str]:
        """Return the path of every artifact."""
        paths: list[str] = []
        folders = [""]
        with ThreadPoolExecutor(WORKERS) as pool:
            while folders:
                listed = list(pool.map(self._list, folders))
                paths += [path for files, _ in listed for path in files]
                folders = [path for _, below in listed for path in below]
        return sorted(paths)

    def fetch(
        self, paths: Iterable[str], folder: Path
    ) -> Iterator[tuple[str, IO[bytes] | None, str]]:
        """Yield path, content and SHA-256 of each artifact; None for one that is not there.

        Large ones are kept in files of `folder` until they are closed.
        """
        remaining = iter(paths)
        pool = ThreadPoolExecutor(WORKERS)
        downloads: deque[Future[tuple[str, IO[bytes] | None, str]]] = deque()
        try:
            downloads += (
                pool.submit(self._fetch, path, folder) for path in islice(remaining, AHEAD)
            )
            while downloads:
                yield downloads.popleft().result()
                downloads.extend(
                    pool.submit(self._fetch, path, folder) for path in islice(remaining, 1)
                )
        finally:
            pool.shutdown(cancel_futures=True)
            for download in downloads:
                if not download.cancelled() and download.exception() is None:
                    _close(download.result()[1])

    def store(self, path: str, content: IO[bytes]) -> None:
        """Store an artifact, and return when the server has it."""
        answer = _session().put(
            f"{self._root}/{quote(path)}", data=content, timeout=SECONDS, **http_options()
        )
        answer.raise_for_status()

    def _list(self, folder: str) -> tuple[list[str], list[str]]:
        parameters = {"path": folder} if folder else {}
        answer = _session().get(self._root, params=parameters, timeout=SECONDS, **http_options())
        answer.raise_for_status()
        files: list[str] = []
        folders: list[str] = []
        for entry in answer.json().get("files", []):
            path = f"{folder}/{entry['path'].rsplit('/', 1)[-1]}".lstrip("/")
            (folders if entry["is_dir"] else files).append(path)
        return files, folders

    def _fetch(self, path: str, folder: Path) -> tuple[str, IO[bytes] | None, str]:
        content: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(folder))  # noqa: SIM115
        digest = hashlib.sha256()
        url = f"{self._root}/{quote(path)}"
        try:
            with _session().get(url, stream=True, timeout=SECONDS, **http_options()) as answer:
                if answer.status_code == requests.codes.not_found:
                    _close(content)
                    return path, None, ""
                answer.raise_for_status()
                for block in answer.iter_content(BLOCK):
                    digest.update(block)
                    content.write(block)
        except BaseException:
            _close(content)
            raise
        return path, content, digest.hexdigest()


def _close(content: IO[bytes] | None) -> None:
    """Let go of a file, also where the disk is full."""
    if content:
        with contextlib.suppress(OSError):
            content.close()


def _session() -> requests.Session:
    """Return this thread's own session; a stack that is busy may refuse a call or two."""
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
        retry = Retry(5, backoff_factor=0.5, status_forcelist=[429, 502, 503, 504])
        for scheme in ("http://", "https://"):
            _local.session.mount(scheme, HTTPAdapter(max_retries=retry))
    session: requests.Session = _local.session
    return session
