"""People who register models: names, versions, aliases, and looking them up."""

from collections.abc import Iterator
from typing import ClassVar

from workloads.history.wire import TOKEN_TAG, registered_name
from workloads.users.person import Activity, Person

VERSIONS = 5
"""Versions of a model before the next one is registered."""


def register_models(person: Person) -> Iterator[None]:
    """Register a model, then versions of it; each gets the alias, is found by it and marked.

    The last one is described, the first one deleted. Every version is of a file of one run, which
    the first turn makes.
    """
    session, client = person.session, person.client
    tags = {TOKEN_TAG: session.token()}
    run = client.create_run(session.experiment_id, tags=tags, run_name=f"models of {session.user}")
    source = f"{run.info.artifact_uri}/model"
    while True:
        name = registered_name(session.experiment_id, session.token())
        client.create_registered_model(name, tags={"team": f"team-{session.user}"})
        yield
        for _ in range(VERSIONS):
            version = client.create_model_version(
                name, source, run.info.run_id, tags={TOKEN_TAG: session.token()}
            ).version
            yield
            client.set_registered_model_alias(name, "champion", version)
            yield
            resolved = client.get_model_version_by_alias(name, "champion").version
            if str(resolved) != str(version):
                raise AssertionError(
                    f"{name}: alias champion is {resolved}, and was set to {version}"
                )
            yield
            client.set_model_version_tag(name, version, "stage", "tested")
            yield
        client.update_model_version(name, version, f"the best of user {session.user}")
        yield
        client.delete_model_version_tag(name, version, "stage")
        yield
        client.delete_model_version(name, "1")
        yield
        client.search_model_versions(f"name = '{name}'")
        yield


class Registrar(Person):
    """Someone who registers models without a pause."""

    activities: ClassVar[dict[Activity, int]] = {register_models: 1}
