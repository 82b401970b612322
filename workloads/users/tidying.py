"""People who tidy up: rename, describe, mark, drop a tag, delete a run and bring it back."""

from collections.abc import Iterator

from workloads.history.wire import TOKEN_TAG
from workloads.users.person import Person


def tidy_up(person: Person) -> Iterator[None]:
    """Do all of that to runs of one's own; every other one stays deleted."""
    session, client = person.session, person.client
    while True:
        tags = {TOKEN_TAG: session.token(), "mood": "unsure"}
        name = f"draft of user {session.user}"
        run_id = client.create_run(session.experiment_id, tags=tags, run_name=name).info.run_id
        yield
        client.set_experiment_tag(session.experiment_id, f"last of user {session.user}", run_id)
        yield
        client.set_tag(run_id, "mlflow.note.content", f"what user {session.user} tried")
        yield
        client.delete_tag(run_id, "mood")
        yield
        client.update_run(run_id, name=f"attempt of user {session.user}")  # reads it before
        yield
        client.set_terminated(run_id)
        yield
        client.delete_run(run_id)
        yield
        client.get_run(run_id)
        yield
        if session.random.random() < 0.5:
            client.restore_run(run_id)
            yield
            client.get_run(run_id)
            yield
