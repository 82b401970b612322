"""Where files are is the server's to say: what a client says of it could be another team's.

MLflow's server reads a trace's files where a tag of the trace says, and a model version's where its
source says, with its own right to the store. It lets clients write these tags, makes one of the id
that a client gives a trace, whatever it is, and takes any source on S3: who may write a trace or a
model of their own would read everybody's artifacts.
"""

# mypy: allow-untyped-calls

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.tracing.constant import SpansLocation, TraceTagKey
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION

from .paths import shortened

PLACES = (MLFLOW_ARTIFACT_LOCATION, TraceTagKey.ARCHIVE_LOCATION)
"""Tags of traces that say where files are."""

ARCHIVED = (TraceTagKey.SPANS_LOCATION, SpansLocation.ARCHIVE_REPO.value)
"""Says that a trace's spans are in the archive, which servers only read."""

ELSEWHERE = re.compile(r"\.\.?|.*[/\\?#%].*", re.DOTALL)
"""What is more than one name in a path or an address; MLflow's own ids are `tr-` and 32 digits."""


def is_place(key: str, value: str) -> bool:
    """Whether a tag of a trace says where its files are."""
    return key in PLACES or (key, value) == ARCHIVED


def keep_places_of_traces(module: Any) -> None:
    """Have MLflow's store of traces, in its module, write no place that a client names.

    A tag that comes with a trace, or with a span, is left out, as clients copy traces with all
    their tags; one by itself is refused. So is a new trace whose id is more than a name.
    """
    validate: Callable[[str, str], tuple[str, str]] = module._validate_trace_tag

    @wraps(validate)
    def validated(key: str, value: str) -> tuple[str, str]:
        if is_place(key, value):
            raise MlflowException.invalid_parameter_value(
                f"Tag '{key}' is immutable and cannot be set on a trace."
            )
        return validate(key, value)

    module._validate_trace_tag = validated
    store = module.SqlAlchemyStore
    start: Callable[..., Any] = store.start_trace
    start_v2: Callable[..., Any] = store.deprecated_start_trace_v2
    end_v2: Callable[..., Any] = store.deprecated_end_trace_v2

    @wraps(start)
    def start_trace(self: Any, trace_info: Any) -> Any:
        trace_info.tags = _without_places(trace_info.tags)
        return start(self, trace_info)

    @wraps(start_v2)
    def start_trace_v2(self: Any, *args: Any, tags: Mapping[str, str], **kwargs: Any) -> Any:
        return start_v2(self, *args, tags=_without_places(tags), **kwargs)

    @wraps(end_v2)
    def end_trace_v2(self: Any, *args: Any, tags: Mapping[str, str], **kwargs: Any) -> Any:
        return end_v2(self, *args, tags=_without_places(tags), **kwargs)

    locate: Callable[..., Any] = store._get_trace_artifact_location_tag

    @wraps(locate)
    def located(self: Any, experiment: Any, trace_id: str) -> Any:
        if ELSEWHERE.fullmatch(trace_id):
            raise MlflowException.invalid_parameter_value(
                f"Invalid trace id: '{shortened(trace_id)}'. It is a part of a path: it must not be"
                " '.' or '..', nor have one of / \\ ? # %."
            )
        return locate(self, experiment, trace_id)

    store._get_trace_artifact_location_tag = located
    store.start_trace = start_trace
    store.deprecated_start_trace_v2 = start_trace_v2
    store.deprecated_end_trace_v2 = end_trace_v2


def _without_places(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not is_place(key, value)}


def refuse_own_sources(store: type[Any], destination: str) -> None:
    """Have `store`, MLflow's of models, take no source that is in the server's store by its URI.

    What a client has stored by the server, it names as `mlflow-artifacts:/…` or `models:/…`, of
    which MLflow looks whose run or model it is.
    """
    create: Callable[..., Any] = store.create_model_version

    @wraps(create)
    def create_model_version(self: Any, name: str, source: str, *args: Any, **kwargs: Any) -> Any:
        if is_within(source, destination):
            raise MlflowException.invalid_parameter_value(
                f"Invalid model version source: '{source}'. It is in this server's artifact store: "
                "name it as mlflow-artifacts:/…, with the run that has it."
            )
        return create(self, name, source, *args, **kwargs)

    store.create_model_version = create_model_version


def is_within(uri: str, destination: str) -> bool:
    """Whether a URI is in the store at `destination`, however it is spelled."""
    place, store = urlsplit(uri.strip()), urlsplit(destination)
    if (place.scheme or "file", place.netloc.lower()) != (store.scheme or "file", store.netloc):
        return False
    names = [name for name in place.path.split("/") if name not in ("", ".")]
    root = [name for name in store.path.split("/") if name]
    return names[: len(root)] == root
