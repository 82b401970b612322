"""The traces that a database is filled with, as a client would send them.

Names of attributes, tags and metadata, and the form of a span's content: MLflow 3.17
(`mlflow/tracing/constant.py`, `mlflow/entities/span.py`).
"""

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

from workloads.filling import facts
from workloads.filling.facts import Shape

PREVIEW = 1000
"""Characters of a preview, at most."""
_CORPUS = 1 << 17
_INFO, _ERROR = "20", "40"


@dataclass(frozen=True)
class Cost:
    """What a call of a model cost, in US dollars."""

    input: float
    output: float
    total: float

    def as_dict(self) -> dict[str, float]:
        """By MLflow's keys."""
        return {"input_cost": self.input, "output_cost": self.output, "total_cost": self.total}


@dataclass(frozen=True)
class Span:
    """A span, with its content as the server keeps it: JSON. Times in ns of Unix time."""

    id: str
    parent: str | None
    name: str
    type: str
    status: str
    start_ns: int
    end_ns: int
    content: str
    cost: Cost | None
    model: str | None


@dataclass(frozen=True)
class Trace:
    """A trace; the metadata is all that a client sends, with session, tokens and cost."""

    id: str
    name: str
    began_ms: int
    duration_ms: int
    state: str
    request_id: str
    request: str
    response: str
    session: str
    tokens: dict[str, int]
    cost: Cost
    tags: dict[str, str]
    metadata: dict[str, str]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class _Ids:
    trace: str
    trace_base64: str
    spans: tuple[str, ...]

    @classmethod
    def of(cls, number: int, shape: Shape, experiment_id: str) -> "_Ids":
        """Ids of a trace in this experiment; no other number, seed or experiment has them."""
        key = f"{shape.seed}/{experiment_id}/{number}".encode()
        drawn = blake2b(key, digest_size=24).digest()
        first = int.from_bytes(drawn[16:]) | 1 << 63
        spans = tuple(f"{first ^ at:016x}" for at in range(shape.spans))
        return cls(drawn[:16].hex(), base64.b64encode(drawn[:16]).decode(), spans)


def trace_id(number: int, shape: Shape, experiment_id: str) -> str:
    """Return the id of this trace."""
    return f"tr-{_Ids.of(number, shape, experiment_id).trace}"


def trace(number: int, shape: Shape, experiment_id: str) -> Trace:
    """Return this trace of so many; the same whenever it is asked for."""
    ids = _Ids.of(number, shape, experiment_id)
    began_ms, lasted_ms = shape.began_ms(number), facts.duration_ms(number)
    failed = facts.failed(number)
    name = facts.NAMES[facts.name(number)]
    city = facts.CITIES[facts.city(number)]
    inputs = {"question": f"{facts.ticket(number)}: what is there to see in {city}?"}
    outputs = {"answer": _text(shape, number, 0)}
    calls = facts.model_calls(shape.spans)
    one = _cost(number)
    cost = Cost(one.input * calls, one.output * calls, one.input * calls + one.output * calls)
    taken, given = facts.input_tokens(number) * calls, facts.output_tokens(number) * calls
    tokens = {"input_tokens": taken, "output_tokens": given, "total_tokens": taken + given}
    session = f"session-{facts.session(number)}"
    request, response = _json(inputs), _json(outputs)
    spans = tuple(_spans(number, shape, ids, inputs, outputs))
    metadata = {
        "environment": f"environment-{facts.environment(number)}",
        "mlflow.source.name": "agent.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.trace.cost": json.dumps(cost.as_dict()),
        "mlflow.trace.session": session,
        "mlflow.trace.tokenUsage": json.dumps(tokens),
        "mlflow.trace.user": f"user-{number % 50}",
        "mlflow.traceInputs": request[:250],
        "mlflow.traceOutputs": response[:250],
        "mlflow.trace_schema.version": "3",
        "mlflow.user": "agent",
    } | _sizes(spans)
    return Trace(
        id=f"tr-{ids.trace}",
        name=name,
        began_ms=began_ms,
        duration_ms=lasted_ms,
        state="ERROR" if failed else "OK",
        request_id=facts.request_id(number),
        request=request[:PREVIEW],
        response=response[:PREVIEW],
        session=session,
        tokens=tokens,
        cost=cost,
        tags={"team": f"team-{facts.team(number)}", "city": city},
        metadata=metadata,
        spans=spans,
    )


def _spans(number: int, shape: Shape, ids: _Ids, inputs: Any, outputs: Any) -> Iterator[Span]:
    """A root, and below it in turn a retrieval, a call of a model, and the tool that it calls."""
    began_ns = shape.began_ms(number) * 1_000_000
    slot_ns = facts.duration_ms(number) * 1_000_000 // shape.spans
    failed = facts.failed(number)
    for at in range(shape.spans):
        parent = ids.spans[0] if at else None
        start_ns = began_ns + at * slot_ns
        end_ns = start_ns + slot_ns * 9 // 10
        cost = model = None
        error = ""
        attributes: dict[str, str] = {}
        match at % 3 if at else None:
            case None:
                name, type_ = facts.NAMES[facts.name(number)], "AGENT"
                end_ns = began_ns + facts.duration_ms(number) * 1_000_000
                attributes = _sent(inputs, outputs)
                error = "the tool failed" if failed else ""
            case 1:
                name, type_ = "look up", "RETRIEVER"
                found = [{"page_content": _text(shape, number, at), "metadata": {"page": at}}]
                attributes = _sent({"query": facts.ticket(number)}, found)
                attributes["city"] = _json(facts.CITIES[facts.city(number)])
                attributes["top_k"] = _json(number % 10)
            case 2:
                name, type_ = "ask the model", "CHAT_MODEL"
                end_ns += slot_ns  # its tool is within it
                model, cost = facts.MODELS[facts.model(number)], _cost(number)
                asked = {"messages": [{"role": "user", "content": _text(shape, number, at)}]}
                attributes = _sent(asked, {"role": "assistant", "content": f"answer {number}"})
                taken, given = facts.input_tokens(number), facts.output_tokens(number)
                attributes["mlflow.chat.tokenUsage"] = _json(
                    {"input_tokens": taken, "output_tokens": given, "total_tokens": taken + given}
                )
                attributes["mlflow.llm.model"] = _json(model)
                attributes["mlflow.llm.provider"] = _json(facts.PROVIDER)
                attributes["mlflow.llm.cost"] = _json(cost.as_dict())
            case _:
                name, type_ = facts.TOOLS[facts.tool(number)], "TOOL"
                parent = ids.spans[at - 1]
                attributes = _sent({"about": _text(shape, number, at)}, {"rows": number % 100})
                if failed and at == 3:
                    error = f"TimeoutError: no answer to {facts.request_id(number)}"
        events = [_exception(error, end_ns - 1000)] if error and at else []
        content = {
            "trace_id": ids.trace_base64,
            "span_id": _base64(ids.spans[at]),
            "parent_span_id": _base64(parent) if parent else None,
            "name": name,
            "start_time_unix_nano": start_ns,
            "end_time_unix_nano": end_ns,
            "events": events,
            "status": {
                "code": "STATUS_CODE_ERROR" if error else "STATUS_CODE_OK",
                "message": error,
            },
            "attributes": {
                "mlflow.traceRequestId": f'"tr-{ids.trace}"',
                "mlflow.spanType": f'"{type_}"',
                **attributes,
                "mlflow.spanLogLevel": _ERROR if error else _INFO,
            },
            "links": [],
        }
        yield Span(
            id=ids.spans[at],
            parent=parent,
            name=name,
            type=type_,
            status="ERROR" if error else "OK",
            start_ns=start_ns,
            end_ns=end_ns,
            content=_json(content),
            cost=cost,
            model=model,
        )


def _exception(error: str, at_ns: int) -> dict[str, Any]:
    type_, _, message = error.partition(": ")
    trace = f'Traceback (most recent call last):\n  File "agent.py", line 7, in call\n{error}\n'
    return {
        "name": "exception",
        "time_unix_nano": at_ns,
        "attributes": {
            "exception.message": message,
            "exception.type": type_,
            "exception.stacktrace": trace,
        },
    }


def _sent(inputs: Any, outputs: Any) -> dict[str, str]:
    return {"mlflow.spanInputs": _json(inputs), "mlflow.spanOutputs": _json(outputs)}


def _cost(number: int) -> Cost:
    taken, given = facts.input_tokens(number) * 1e-6, facts.output_tokens(number) * 4e-6
    return Cost(taken, given, taken + given)


def _sizes(spans: tuple[Span, ...]) -> dict[str, str]:
    """Statistics of the spans' bytes, which a client sends with a trace."""
    sizes = sorted(len(span.content.encode()) for span in spans)
    at = {f"p{part}": sizes[(len(sizes) - 1) * part // 100] for part in (25, 50, 75)}
    total = {"total_size_bytes": sum(sizes), "num_spans": len(sizes), "max": sizes[-1]}
    return {
        "mlflow.trace.sizeBytes": str(sum(sizes)),
        "mlflow.trace.sizeStats": json.dumps(total | at),
    }


_json = json.JSONEncoder(ensure_ascii=False).encode


def _base64(span_id: str) -> str:
    return base64.b64encode(bytes.fromhex(span_id)).decode()


def _text(shape: Shape, number: int, at: int) -> str:
    """Free text of a span: words, and not those of another span."""
    corpus = _corpus(shape.seed, shape.text)
    begin = (number * shape.spans + at) * 7919 % _CORPUS
    return corpus[begin : begin + shape.text]


@cache
def _corpus(seed: str, longest: int) -> str:
    """Words of ASCII letters, none of which is a city or a ticket."""
    rng = random.Random(f"corpus/{seed}")  # noqa: S311 - repeatable
    syllables = [first + second for first in "bdfgklmnprstv" for second in "aeiou"]
    vocabulary = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(4000)]
    words: list[str] = []
    length = 0
    while length < _CORPUS + longest:
        words.append(rng.choice(vocabulary))
        length += len(words[-1]) + 1
    return " ".join(words)
