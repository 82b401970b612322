"""The schema that servers need, which does not become another one under those that run.

No server may write while the schema changes. The specifications of all pods that do have the
schema's revision, an output of a resource of its own: when that is replaced, the engine first
removes all that another value of it would replace, and waits for its end. So the servers go, then
the job runs, then they come again. With the same schema the revision stays: the job runs beside the
servers, and these are exchanged one by one.
"""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi import dynamic

from infra.own_provider import OwnProvider

ANNOTATION = "mlflow-bench.schema"
"""On pods of what the engine removes before the schema changes."""


class RevisionProvider(OwnProvider):
    """Remembers a revision; another one is another resource, an unknown one is that of before."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Remember it."""
        return dynamic.CreateResult(id_="schema", outs={"revision": props["revision"]})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Compare it."""
        # A stack without users has the first revision alone, which is that of before if that of the
        # users follows it there: `auth` was taken out, or the state is of before this was so.
        former, now = olds["revision"], news["revision"]
        other = bool(now) and now != former and not former.startswith(f"{now} ")
        return dynamic.DiffResult(
            changes=other, replaces=["revision"] if other else [], delete_before_replace=True
        )


class SchemaRevision(dynamic.Resource):
    """A revision as `infra.releases.contents.schema` has it; empty: nobody knows it."""

    revision: pulumi.Output[str]

    def __init__(self, name: str, revision: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__(RevisionProvider(), f"{name}-revision", {"revision": revision}, opts)

    @property
    def annotations(self) -> Mapping[str, pulumi.Input[str]]:
        """Return the annotations of the pods that may not run while it becomes another one."""
        return {ANNOTATION: self.revision}
