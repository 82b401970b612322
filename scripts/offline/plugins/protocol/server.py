"""The gRPC side: from the engine's messages to the resource types, and back."""

import json
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from scripts.offline.plugins.protocol import schema, states
from scripts.offline.plugins.protocol.codec import (
    UNKNOWN,
    Properties,
    decode,
    encode,
    holds_unknown,
    reveal,
    secret_texts,
)
from scripts.offline.plugins.protocol.console import EngineConsole
from scripts.offline.plugins.protocol.errors import CancelledError, RefusedError
from scripts.offline.plugins.protocol.names import CHOSEN, fill_name
from scripts.offline.plugins.protocol.resource import Call, Resource

# Keys of a provider's configuration that belong to the engine.
ENGINE_KEYS = ("version", "pluginDownloadURL", "pluginChecksums", "__internal")


class Plugin(ResourceProviderServicer):
    """A provider of some resource types, behind the engine's protocol."""

    def __init__(
        self,
        name: str,
        version: str,
        resources: Sequence[Resource],
        *,
        config: Mapping[str, schema.Prop],
        configure: Callable[[Properties], None],
        explain: Callable[[Exception], str | None],
    ) -> None:
        """Serve `resources`.

        `config` lists the provider's settings, `configure` takes them, and `explain` puts a
        library's exception into words, or returns None when it does not know it.
        """
        self.name = name
        self.version = version
        self.console = EngineConsole()
        self.cancelled = threading.Event()
        self._resources = {resource.token: resource for resource in resources}
        self._config = config
        self._configure = configure
        self._explain = explain
        self._busy = 0
        self._idle = threading.Condition()

    # --- the plugin as a whole

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Agree on what the wire carries."""
        self.console.connect(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Meet an engine that did not start this process."""
        self.console.connect(request.address)
        return Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Tell the version, which is that of the SDK served."""
        return plugin_pb2.PluginInfo(version=self.version)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Tell which types there are; their properties are in the SDK."""
        types: dict[str, Any] = {token: {} for token in sorted(self._resources)}
        document = {"name": self.name, "version": self.version, "resources": types}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(document))

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Validate the provider's settings."""
        with self._reporting(context, request) as call:
            settings = _settings(decode(request.news))
            failures = _failures(call, schema.check(settings, self._config, self.name))
            return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say that settings never replace: the same Docker may be reached another way."""
        changed = decode(request.old_inputs) != decode(request.news)
        response = provider_pb2.DiffResponse
        return response(changes=response.DIFF_SOME if changed else response.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the provider's settings."""
        with self._reporting(context, request):
            self._configure(reveal(_settings(decode(request.args))))
            return provider_pb2.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
            )

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse functions: none is served."""
        with self._reporting(context, request):
            raise RefusedError(
                f"function {request.tok} is not served by the bundled {self.name} plugin: "
                "do without it, or use the official plugin"
            )

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Let every operation under way end soon."""
        self.cancelled.set()
        return Empty()

    # --- resources

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Validate a resource's inputs and complete them."""
        with self._reporting(context, request) as call:
            resource = self._resource(request.urn)
            new = decode(request.news)
            failures = schema.check(new, resource.table, self.name)
            failures = failures or resource.check(reveal(new))
            if failures:
                return provider_pb2.CheckResponse(failures=_failures(call, failures))
            new = {name: value for name, value in new.items() if value is not None}
            if resource.autonamed:
                new = fill_name(decode(request.olds), new, request)
            try:
                inputs = resource.complete(new)
            except RefusedError as refused:
                return provider_pb2.CheckResponse(
                    failures=[provider_pb2.CheckFailure(reason=call.scrub(str(refused)))]
                )
            return provider_pb2.CheckResponse(inputs=encode(inputs))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say what changed and what that means."""
        with self._reporting(context, request):
            resource = self._resource(request.urn)
            old, new = decode(request.old_inputs), decode(request.news)
            state = decode(request.olds)
            old |= {
                name: state.get(name) for name, prop in resource.table.items() if prop.read_back
            }
            ignored = set(request.ignoreChanges)
            differences = [
                item for item in schema.diff(old, new, resource.table) if item.name not in ignored
            ]
            replaces = [item.name for item in differences if item.replaces and not item.kept]
            kept = [item.name for item in differences if item.kept]
            if kept and not replaces:
                raise RefusedError(
                    f"{_quoted(kept)} was left out, which the official plugin takes for no "
                    "change: give a value, or replace the resource "
                    f"(`pulumi up --target-replace {request.urn}`)"
                )
            # Two of one name cannot exist at once.
            named = resource.autonamed and CHOSEN not in new
            response = provider_pb2.DiffResponse
            return response(
                changes=response.DIFF_SOME if differences else response.DIFF_NONE,
                diffs=[item.name for item in differences],
                replaces=replaces,
                deleteBeforeReplace=bool(replaces) and (resource.delete_before_replace or named),
                hasDetailedDiff=True,
                detailedDiff={item.name: _detail(item) for item in differences},
            )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create a resource, or say what a preview can know of it."""
        with self._reporting(context, request) as call:
            resource = self._resource(request.urn)
            inputs = decode(request.properties)
            plain = schema.with_defaults(reveal(inputs), resource.table)
            if request.preview and (holds_unknown(inputs) or not resource.builds_on_preview(plain)):
                computed = [name for name in resource.computed if inputs.get(name) is None]
                outputs = states.outputs(resource, inputs, dict.fromkeys(computed, UNKNOWN))
                return provider_pb2.CreateResponse(properties=encode(outputs))
            made = resource.create(call, plain)
            call.proceed()  # nobody would record what was made: take it back
            outputs = states.outputs(resource, inputs, made.outputs)
            return provider_pb2.CreateResponse(id=made.id, properties=encode(outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Look at what is there: refresh, or import when there is no state."""
        with self._reporting(context, request) as call:
            resource = self._resource(request.urn)
            state = decode(request.properties)
            former = decode(request.inputs)
            imported = not former and not state
            result = resource.read(
                call, request.id, None if imported else reveal(former), reveal(state)
            )
            if result is None:
                return provider_pb2.ReadResponse()
            inputs = states.keep_secrets(former, result.inputs)
            if CHOSEN in former:
                inputs[CHOSEN] = former[CHOSEN]
            kept = {name: value for name, value in state.items() if name not in resource.table}
            outputs = kept | states.outputs(
                resource, inputs, states.keep_secrets(state, result.outputs)
            )
            return provider_pb2.ReadResponse(
                id=result.id, inputs=encode(inputs), properties=encode(outputs)
            )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Change a resource in place."""
        with self._reporting(context, request) as call:
            resource = self._resource(request.urn)
            old, new = decode(request.old_inputs), decode(request.news)
            state = decode(request.olds)
            computed = {name: value for name, value in state.items() if name not in resource.table}
            differences = schema.diff(old, new, resource.table)
            if in_vain := [item.name for item in differences if item.in_vain]:
                raise RefusedError(
                    f"{_quoted(in_vain)} cannot change in place: the official plugin says that it "
                    "did, and leaves the resource as it was. Give the resource the option "
                    f"replace_on_changes={in_vain}, or replace it once "
                    f"(`pulumi up --target-replace {request.urn}`)"
                )
            if request.preview:
                computed |= dict.fromkeys(resource.unknown_after_update(differences), UNKNOWN)
            else:
                computed |= states.keep_secrets(
                    state,
                    resource.update(
                        call,
                        request.id,
                        schema.with_defaults(reveal(old), resource.table),
                        schema.with_defaults(reveal(new), resource.table),
                        reveal(state),
                    ),
                )
            outputs = states.outputs(resource, new, computed)
            return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Remove a resource."""
        with self._reporting(context, request) as call:
            resource = self._resource(request.urn)
            state = schema.with_defaults(reveal(decode(request.properties)), resource.table)
            resource.delete(call, request.id, state)
            return Empty()

    # --- around every operation

    def _resource(self, urn: str) -> Resource:
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self._resources:
            raise RefusedError(
                f"resource type {token} is not served by the bundled {self.name} plugin: "
                "do without it, or use the official plugin"
            )
        return self._resources[token]

    @contextmanager
    def _reporting(self, context: Any, request: Any) -> Iterator[Call]:
        """An operation whose failure takes back what it made and is told to the engine."""
        urn, timeout = getattr(request, "urn", ""), getattr(request, "timeout", 0)
        call = Call(urn, self.console, self.cancelled, context.is_active, timeout)
        with self._idle:
            self._busy += 1
        try:
            call.secrets = _secrets_of(request)
            yield call
        except Exception as problem:
            left = call.roll_back()
            self._fail(context, call.scrub("\n".join([self._words(problem), *left])), problem)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _words(self, problem: Exception) -> str:
        if isinstance(problem, RefusedError):
            return str(problem)
        if (words := self._explain(problem)) is not None:
            return words
        where = traceback.extract_tb(problem.__traceback__)[-1]
        return (
            f"error inside the bundled {self.name} plugin "
            f"({os.path.basename(where.filename)}:{where.lineno}): "  # noqa: PTH119
            f"{type(problem).__name__}: {problem}"
        )

    def _fail(self, context: Any, message: str, problem: Exception) -> NoReturn:
        cancelled = isinstance(problem, CancelledError)
        code = grpc.StatusCode.CANCELLED if cancelled else grpc.StatusCode.UNKNOWN
        context.abort(code, message)
        raise AssertionError("abort raises")

    def wait_until_idle(self, seconds: float) -> None:
        """Wait until no operation is under way, but no longer than this."""
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout=seconds)


def _secrets_of(request: Any) -> list[str]:
    names = ("properties", "inputs", "news", "olds", "old_inputs", "args")
    present = [name for name in names if name in request.DESCRIPTOR.fields_by_name]
    return [text for name in present for text in secret_texts(decode(getattr(request, name)))]


def _settings(config: Properties) -> Properties:
    return {
        name: value
        for name, value in config.items()
        if name not in ENGINE_KEYS and value not in (None, "")
    }


def _failures(call: Call, failures: list[schema.Failure]) -> list[Any]:
    return [
        provider_pb2.CheckFailure(property=failure.path, reason=call.scrub(failure.reason))
        for failure in failures
    ]


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _detail(difference: schema.Difference) -> Any:
    kinds = provider_pb2.PropertyDiff
    replaces = difference.replaces
    if difference.added:
        kind = kinds.ADD_REPLACE if replaces else kinds.ADD
    elif difference.deleted:
        kind = kinds.DELETE_REPLACE if replaces else kinds.DELETE
    else:
        kind = kinds.UPDATE_REPLACE if replaces else kinds.UPDATE
    return kinds(kind=kind, inputDiff=True)
