"""What there is of a run's own: its experiment and its registered models, listed by search."""

from collections.abc import Callable, Container, Iterator
from typing import TypeVar

from mlflow.entities import LifecycleStage, LoggedModel, Run, TraceInfo, ViewType
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.store.entities import PagedList
from mlflow.tracking import MlflowClient

from workloads.history.wire import TOKEN_TAG, registered_prefix

T = TypeVar("T")

_MODELS_AND_PROMPTS = (
    f"tags.`{IS_PROMPT_TAG_KEY}` != 'true'",
    f"tags.`{IS_PROMPT_TAG_KEY}` = 'true'",
)
"""What a search has to ask for: it gives models only, unless it is asked for prompts."""


class Listing:
    """Searches one experiment through one tracking server; raises `MlflowException`."""

    def __init__(self, uri: str, experiment_id: str) -> None:
        self.client = MlflowClient(uri, registry_uri=uri)
        self.experiment_id = experiment_id

    def runs(self, known: Container[str]) -> Iterator[tuple[str, str, Run]]:
        """Yield token, id and run of every run that is not deleted, and of deleted known ones.

        A deleted run that no client knows of is a double that was removed.
        """
        experiments = [self.experiment_id]
        for run in _all_of(
            lambda token: self.client.search_runs(
                experiments, run_view_type=ViewType.ALL, max_results=500, page_token=token
            )
        ):
            if run.info.lifecycle_stage == LifecycleStage.ACTIVE or run.info.run_id in known:
                yield run.data.tags.get(TOKEN_TAG, ""), run.info.run_id, run

    def models(self) -> Iterator[tuple[str, str, LoggedModel]]:
        """Yield run and name, as `<run>/model`, id, and model of every logged model."""
        experiments = [self.experiment_id]
        for model in _all_of(
            lambda token: self.client.search_logged_models(
                experiments, max_results=50, page_token=token
            )
        ):
            yield f"{model.source_run_id or ''}/{model.name}", model.model_id, model

    def registered(self) -> Iterator[tuple[str, str, RegisteredModel]]:
        """Yield name, name, and model of every registered model; prompts are such, too."""
        by = f"name LIKE '{registered_prefix(self.experiment_id)}%'"
        search = self.client.search_registered_models
        for which in _MODELS_AND_PROMPTS:
            for model in _all_of(
                lambda token, which=which: search(  # type: ignore[misc]
                    f"{by} AND {which}", max_results=500, page_token=token
                )
            ):
                yield model.name, model.name, model

    def registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model, or a prompt, which the client's own function hides."""
        store = self.client._get_registry_client().store  # type: ignore[no-untyped-call]
        model: RegisteredModel = store.get_registered_model(name)
        return model

    def delete_version(self, name: str, version: str) -> None:
        """Delete a version of a registered model, or of a prompt."""
        store = self.client._get_registry_client().store  # type: ignore[no-untyped-call]
        store.delete_model_version(name, version)

    def versions(self, name: str) -> Iterator[tuple[str, str, ModelVersion]]:
        """Yield token, id, as `churn/3`, and version of every version of a registered model."""
        search = self.client.search_model_versions
        for which in _MODELS_AND_PROMPTS:
            for version in _all_of(
                lambda token, which=which: search(  # type: ignore[misc]
                    f"name = '{name}' AND {which}", max_results=500, page_token=token
                )
            ):
                yield version.tags.get(TOKEN_TAG, ""), f"{name}/{version.version}", version

    def traces(self, experiment_id: str, by: str | None = None) -> Iterator[TraceInfo]:
        """Yield what is known of every trace of an experiment, or of those that a filter finds."""
        for trace in _all_of(
            lambda token: self.client.search_traces(
                locations=[experiment_id],
                filter_string=by,
                max_results=500,
                page_token=token,
                include_spans=False,
            )
        ):
            yield trace.info


def _all_of(search: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """Yield what a search gives, page by page; it takes the token of one."""
    token: str | None = None
    while token is None or token:
        page = search(token)
        yield from page
        token = page.token or ""
