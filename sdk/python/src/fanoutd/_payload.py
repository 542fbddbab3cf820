"""Arguments of events: Python values to JSON text with attachments, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Json(Protocol):
    """What encodes and decodes: the module json, or one that takes the same."""

    def dumps(self, obj: Any, **kwargs: Any) -> str: ...
    def loads(self, text: str, **kwargs: Any) -> Any: ...


standard: Json = json  # type: ignore[assignment]  # a module


# Half of a pair of UTF-16, which JavaScript may have in a string and UTF-8 has no bytes for.
LONE = re.compile("[\ud800-\udfff]")


class UndecodableError(ValueError):
    """What a browser sent is JSON, and more than the decoder takes: nested too deep, a number of thousands of digits."""


def encode(args: Iterable[Any], codec: Json = standard) -> tuple[str, list[bytes]]:
    """The JSON array of the arguments. Each bytes, bytearray or memoryview at any depth
    becomes an attachment. TypeError for what JSON has no word for; ValueError for NaN."""
    attachments: list[bytes] = []

    def other(value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            attachments.append(bytes(value))
            return {"_placeholder": True, "num": len(attachments) - 1}
        raise TypeError(f"a {type(value).__name__} cannot be sent: neither JSON nor bytes")

    options: dict[str, Any] = {"separators": (",", ":"), "default": other}
    if codec is standard:
        options |= {"ensure_ascii": False, "allow_nan": False}
    return escaped(codec.dumps(list(args), **options)), attachments


def escaped(text: str) -> str:
    """JSON as UTF-8 can say it."""
    return text if text.isascii() else LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def decode(text: str, attachments: Sequence[bytes] = (), codec: Json = standard) -> list[Any]:
    """The arguments of an event, with bytes where its attachments belong. UndecodableError."""
    if not text:
        return []
    if not attachments:
        args = load(text, codec)
    else:

        def fill(value: dict[str, Any]) -> Any:
            num = value.get("num")
            if value.get("_placeholder") is True and type(num) is int and 0 <= num < len(attachments):
                return attachments[num]
            return value

        args = load(text, codec, object_hook=fill)
    return args if isinstance(args, list) else [args]


def load(text: str, codec: Json = standard, **options: Any) -> Any:
    """One value of JSON. UndecodableError."""
    try:
        return codec.loads(text, **options)
    except RecursionError:
        raise UndecodableError("it is nested too deep") from None
    except ValueError as err:
        raise UndecodableError(str(err)) from None


def sendable(text: str) -> str:
    """Text as UTF-8 can say it."""
    return text if text.isascii() else LONE.sub("\ufffd", text)


def expand(data: Any) -> list[Any]:
    """Arguments as python-socketio takes and returns them: a tuple is several, None is none."""
    if data is None:
        return []
    return list(data) if isinstance(data, tuple) else [data]
