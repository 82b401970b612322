"""Those who collect what agents were asked and should have said: evaluation data sets."""

from collections.abc import Iterator
from typing import Any

from mlflow.genai.datasets import create_dataset, delete_dataset, get_dataset

from workloads.history.wire import TOKEN_TAG
from workloads.scenarios.agents import RECORDS
from workloads.users.answering import Answered
from workloads.users.person import Person

KEPT_EACH = 2
"""Of so many data sets one is kept, the others are deleted again."""


def merge_records(person: Person, answered: list[Answered]) -> Iterator[None]:
    """Make a data set of a session and more, correct a record of it, read it back."""
    session = person.session
    token = session.token()
    made = create_dataset(
        name=f"questions {token}",
        experiment_id=session.experiment_id,
        tags={TOKEN_TAG: token, "team": f"team-{session.user}"},
    )
    yield
    records = [*map(_record, answered)]
    wanted = int(person.parameters["records"])
    records += [_made_up(person, number) for number in range(wanted - len(records))]
    known = {record["inputs"]["question"]: record["expectations"]["answer"] for record in records}
    corrected = session.random.choice(sorted(known))
    merged = False
    with session.step(RECORDS):
        made.merge_records(records)
        _expect(made.dataset_id, known)
        merged = True
    yield
    if not merged:  # nobody knows what is there
        return
    known[corrected] = "something else"
    with session.step(RECORDS):
        made.merge_records(
            [{"inputs": {"question": corrected}, "expectations": {"answer": "something else"}}]
        )
        _expect(made.dataset_id, known)
    yield
    person.client.set_dataset_tags(made.dataset_id, {"state": "reviewed", "for": "a while"})
    yield
    person.client.delete_dataset_tag(made.dataset_id, "for")
    yield
    if session.random.randrange(KEPT_EACH):
        delete_dataset(dataset_id=made.dataset_id)
        yield


def _record(one: Answered) -> dict[str, Any]:
    return {
        "inputs": {"question": one.question},
        "outputs": {"answer": one.answer},
        "expectations": {"answer": one.answer},
        "source": {"source_type": "TRACE", "source_data": {"trace_id": one.trace_id}},
        "tags": {"version": str(one.version)},
    }


def _made_up(person: Person, number: int) -> dict[str, Any]:
    question = f"made up {number}: {person.session.random.random()}"
    return {"inputs": {"question": question}, "expectations": {"answer": f"the {number}th"}}


def _expect(dataset_id: str, known: dict[str, str]) -> None:
    """Read a data set; raises `AssertionError` if it has other records."""
    frame = get_dataset(dataset_id=dataset_id).to_df()
    pairs = zip(frame["inputs"], frame["expectations"], strict=True)
    found = [(asked["question"], wanted["answer"]) for asked, wanted in pairs]
    if sorted(found) != sorted(known.items()):
        missing = len(known.items() - set(found))
        raise AssertionError(
            f"data set {dataset_id}: {len(found)} records, and there are {len(known)}; "
            f"{missing} are missing or other ones"
        )
