"""mlflow 3.18's rule for sending a POST again, for a client of another release: an emulation.

3.18 sends what is not safe to do twice again on connection errors, 408 and 429 only; no longer on
5xx, nor when the answer is lost. Its companion packages cannot be installed everywhere. What is
emulated is this rule alone, on the client that is there: it goes into urllib3, below mlflow.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from urllib3.connectionpool import HTTPConnectionPool
from urllib3.util import Retry

STATUSES = frozenset({408, 429})

SAFE = re.compile(
    r"/(search|search-datasets|batch|query|metrics)$"
    r"|/runs/(log-batch|log-metric|log-parameter|set-tag|update|delete|restore)$"
    r"|/experiments/set-experiment-tag$|/(registered-models|model-versions)/(set-tag|alias)$"
    r"|/get-latest-versions$|/mlflow/traces$|/v1/traces$|/credentials"
)
"""Routes whose POSTs 3.18 sends again as before: reads, and writes that the server merges."""


class CreateRetry(Retry):
    """Sends again only what was certainly not done, whatever `Retry-After` says."""

    RETRY_AFTER_STATUS_CODES = frozenset()


def rule_of(method: str, url: str, retries: Any) -> Any:
    """Return the retries of a request that begins: mlflow's own, or those of 3.18."""
    narrow = (
        method == "POST"
        and isinstance(retries, Retry)
        and not isinstance(retries, CreateRetry)
        and "/api/" in (path := urlsplit(url).path)
        and not SAFE.search(path)
    )
    if not narrow:
        return retries
    return CreateRetry(
        total=retries.total,
        connect=retries.connect,
        read=False,
        redirect=retries.redirect,
        status=retries.status,
        status_forcelist=STATUSES & set(retries.status_forcelist or ()),
        allowed_methods=retries.allowed_methods,
        backoff_factor=retries.backoff_factor,
        backoff_jitter=retries.backoff_jitter,
        raise_on_status=retries.raise_on_status,
        respect_retry_after_header=retries.respect_retry_after_header,
    )


def install() -> None:
    """Have all clients of this process follow 3.18's rule, for good."""
    send = HTTPConnectionPool.urlopen

    def urlopen(
        pool: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        *rest: Any,
        **named: Any,
    ) -> Any:
        retries = rule_of(method, url, retries)
        return send(pool, method, url, body, headers, retries, *rest, **named)

    HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign, assignment]
