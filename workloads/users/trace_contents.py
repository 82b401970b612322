"""What traces carry: questions, documents and answers as texts, or images."""

import base64
import json
from functools import cache
from random import Random
from typing import Any

_WORDS = [
    *("the", "model", "answers", "a", "question", "about", "orders", "and", "returns", "with"),
    *("what", "it", "found", "in", "documents", "of", "shop", "then", "asks", "tool", "for"),
    *("price", "an", "item", "says", "why", "is", "late"),
]
_TEXT_BYTES = 2**20


@cache
def _text() -> str:
    """A mebibyte of words, the same in every run."""
    draw = Random("texts")  # noqa: S311 - repeatable
    words: list[str] = []
    size = 0
    while size < _TEXT_BYTES:
        words.append(draw.choice(_WORDS))
        size += len(words[-1]) + 1
    return " ".join(words)


def text(random: Random, size: int) -> str:
    """Return so many bytes of words."""
    words = _text()
    while len(words) < size:
        words += words
    begin = random.randrange(len(words) - size + 1)
    return words[begin : begin + size]


def message(random: Random, content: str, size: int) -> dict[str, Any]:
    """Return a message to a model, with so many bytes of `text`, or of an `image` in base64."""
    if content == "text":
        return {"role": "user", "content": text(random, size)}
    image = base64.b64encode(random.randbytes(size * 3 // 4)).decode()
    url = f"data:image/png;base64,{image}"
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def as_json(value: Any) -> str:
    """Return a value as an attribute of a span that takes only texts."""
    return json.dumps(value)
