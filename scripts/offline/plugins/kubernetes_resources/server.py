"""The gRPC side: every kind that the cluster serves, by group, version and kind.

There are no property tables here: the API server is the one that knows the schema, and a dry run
asks it.
"""

import logging
from typing import Any

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from kubernetes.client.exceptions import ApiException
from pulumi.runtime.proto import provider_pb2

from scripts.offline.plugins.protocol.codec import (
    Properties,
    decode,
    encode,
    holds_unknown,
    reveal,
)
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call
from scripts.offline.plugins.protocol.server import Plugin
from scripts.offline.plugins.protocol.states import keep_secrets

from . import awaits, immutable, objects
from .connection import SETTINGS, Body, Connection, reason

# Packages and endings of the SDK's classes that are not kinds of the API.
NOT_KINDS = ("helm.sh/", "kustomize", "yaml", "apiextensions.k8s.io:CustomResourcePatch")
NOT_KIND_ENDINGS = ("Patch", "List")


class KubernetesPlugin(Plugin):
    """The provider of `pulumi_kubernetes`, on server-side apply."""

    def __init__(self, version: str) -> None:
        self._cluster = Connection()
        # The client library warns by logging; what counts comes as an error.
        logging.disable(logging.WARNING)
        super().__init__(
            "kubernetes",
            version,
            [],
            config=SETTINGS,
            configure=self._cluster.configure,
            explain=self._cluster.explain,
        )

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Complete a resource's inputs: its name, and what of it is secret."""
        with self._reporting(context, request):
            _served(request.urn)
            old, new = decode(request.olds), decode(request.news)
            new = {name: value for name, value in new.items() if value is not None}
            for name in ("apiVersion", "kind"):
                if not isinstance(new.get(name), str):
                    return provider_pb2.CheckResponse(
                        failures=[provider_pb2.CheckFailure(property=name, reason="is missing")]
                    )
            named = objects.with_name(old, new, request.urn, request.randomSeed)
            return provider_pb2.CheckResponse(inputs=encode(objects.guarded(named)))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say what changed, and whether the API server takes it for the same object."""
        with self._reporting(context, request):
            old, new = decode(request.old_inputs), decode(request.news)
            found = list(objects.changes(old, new))
            kind = str(new["kind"])
            replaces = [path for path, _, _ in found if immutable.replaces(kind, path)]
            if found and not replaces and not holds_unknown(new):
                replaces = self._refused(new, [path for path, _, _ in found])
            response, detail = provider_pb2.DiffResponse, provider_pb2.PropertyDiff
            described = {}
            for path, before, after in found:
                verb = "ADD" if before is None else "DELETE" if after is None else "UPDATE"
                verb += "_REPLACE" if path in replaces else ""
                described[path] = detail(kind=detail.Kind.Value(verb), inputDiff=True)
            return response(
                changes=response.DIFF_SOME if found else response.DIFF_NONE,
                diffs=sorted({path.split(".")[0] for path, _, _ in found}),
                replaces=replaces,
                # Two objects cannot have one name; a name that was chosen here is chosen anew.
                deleteBeforeReplace=bool(replaces)
                and not objects.annotation(new, objects.AUTONAMED),
                hasDetailedDiff=True,
                detailedDiff=described,
            )

    def _refused(self, new: Properties, paths: list[str]) -> list[str]:
        """The changed paths, if the API server refuses the change as one of immutable fields."""
        try:
            self._cluster.apply(reveal(new), dry_run=True)
        except ApiException as problem:
            if problem.status == 422 and immutable.refused_as_immutable(reason(problem)):
                return paths
            if problem.status != 404:  # Its namespace may be made in the same update.
                raise
        return []

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create an object and wait for it; in a preview, let the API server look at it."""
        with self._reporting(context, request) as call:
            _served(request.urn)
            inputs = decode(request.properties)
            if request.preview:
                if not holds_unknown(inputs):
                    self._look_at(reveal(inputs))
                return provider_pb2.CreateResponse(properties=encode(inputs))
            body = reveal(inputs)
            self._clear_the_way(call, body)
            live = self._cluster.apply(body)
            uid = live["metadata"]["uid"]
            call.on_failure(lambda: self._take_back(live, uid))
            if not objects.annotation(body, objects.SKIP_AWAIT):
                live = awaits.until_ready(call, self._cluster, live)
            call.proceed()  # nobody would record what was made: take it back
            return provider_pb2.CreateResponse(
                id=objects.identity(live), properties=encode(objects.state(inputs, live))
            )

    def _look_at(self, body: Body) -> None:
        try:
            self._cluster.apply(body, dry_run=True)
        except ApiException as problem:
            # What it needs (a namespace, a class) may be made in the same update; it may also
            # replace an object that is still there.
            if problem.status == 404 or immutable.refused_as_immutable(reason(problem)):
                return
            raise

    def _clear_the_way(self, call: Call, body: Body) -> None:
        """Remove what an interrupted creation left; refuse to take over anybody else's object."""
        existing = self._cluster.get(body)
        if existing is None:
            return
        labels = body["metadata"].get("labels") or {}
        theirs = existing["metadata"].get("labels") or {}
        if not labels or not labels.items() <= theirs.items():
            raise RefusedError(
                f"{body['kind']} {objects.identity(existing)} exists already and does not carry "
                "this resource's labels: remove it, or choose another name"
            )
        if body["kind"] in ("Namespace", "PersistentVolumeClaim"):
            return  # They hold data: adopted as they are.
        call.status("removing what an interrupted creation left")
        if self._cluster.delete(existing):
            awaits.until_gone(call, self._cluster, existing, existing["metadata"]["uid"])

    def _take_back(self, body: Body, uid: str) -> None:
        found = self._cluster.get(body)
        if found is not None and found["metadata"]["uid"] == uid:
            self._cluster.delete(body)

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Look at what is there: refresh, or import when there is no state."""
        with self._reporting(context, request):
            token = _served(request.urn)
            known, state = decode(request.inputs), decode(request.properties)
            if not known and not state:
                body = _named(token, request.id)
                live = self._cluster.get(body)
                inputs = objects.guarded(objects.imported(live)) if live else {}
            else:
                known = known or state
                live = self._cluster.get(reveal(known))
                inputs = _found(known, live) if live else {}
            if live is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=request.id,
                inputs=encode(inputs),
                properties=encode(objects.state(inputs, live)),
            )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Apply the new inputs and wait for their effect."""
        with self._reporting(context, request) as call:
            inputs = decode(request.news)
            body = reveal(inputs)
            if request.preview:
                if not holds_unknown(inputs):
                    self._cluster.apply(body, dry_run=True)
                return provider_pb2.UpdateResponse(properties=encode(inputs))
            live = self._cluster.apply(body)
            if not objects.annotation(body, objects.SKIP_AWAIT):
                live = awaits.until_ready(call, self._cluster, live)
            return provider_pb2.UpdateResponse(properties=encode(objects.state(inputs, live)))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Remove an object and wait until it is gone."""
        with self._reporting(context, request) as call:
            body = reveal(decode(request.properties))
            live = self._cluster.get(body)
            if live is None or live["metadata"]["uid"] != body["metadata"].get("uid"):
                return Empty()  # Gone; what has its name now is another.
            if self._cluster.delete(body) and not objects.annotation(body, objects.SKIP_AWAIT):
                awaits.until_gone(call, self._cluster, body, live["metadata"]["uid"])
            return Empty()


def _served(urn: str) -> str:
    """The type token of a resource, if it stands for a kind of the API."""
    token = urn.split("::")[2].rpartition("$")[2]
    rest = token.removeprefix("kubernetes:")
    if rest.startswith(NOT_KINDS) or rest.endswith(NOT_KIND_ENDINGS):
        raise RefusedError(
            f"resource type {token} is not served by the bundled kubernetes plugin: "
            "do without it, or use the official plugin"
        )
    return token


def _named(token: str, id_: str) -> Body:
    """What an id and a type tell of an object."""
    _, version, kind = token.split(":")
    namespace, _, name = id_.rpartition("/")
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version.removeprefix("core/"), "kind": kind, "metadata": metadata}


def _found(known: Properties, live: Body) -> Properties:
    """Known inputs with what the living object has instead, as secret as they were."""
    plain = reveal(known)
    find = objects.secret_as_found if live["kind"] == "Secret" else objects.as_found
    kept: Properties = keep_secrets(known, find(plain, live))
    return kept
