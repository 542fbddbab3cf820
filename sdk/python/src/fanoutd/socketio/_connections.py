"""The connections that this process owns, or is letting in, as far as it was told."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from google.protobuf import json_format

from .. import v1


class State(Enum):
    CONNECTING = auto()  # its connect handler runs, and it exists for no command yet
    ADMITTED = auto()  # it may connect, and CONNECTED has not come yet
    CONNECTED = auto()
    ENDED = auto()  # its disconnect handler runs


@dataclass(frozen=True)
class Deferred:
    """Something to be done for a connection once it is there."""

    operation: v1.Operation
    heard: Callable[[v1.OperationResult], None] | None = None


class Connection:
    """One connection."""

    def __init__(self, raw: v1.Connection, state: State) -> None:
        self.raw = raw
        self.state = state
        self.rooms: set[str] = {raw.id, *raw.rooms}
        self.data_json = data_of(raw)
        self.auth: Any = None  # of one that this process has let in
        self.gate: asyncio.Future[None] | None = None  # what it does waits for this
        self.cancelled = False  # while CONNECTING: the client is not waiting any more
        self.refused = False
        self.stale = False  # of an earlier stream, and not assigned again yet
        self.deferred: list[Deferred] = []  # wait for CONNECTED, in order

    @property
    def pending(self) -> bool:
        return self.state in (State.CONNECTING, State.ADMITTED)

    def update(self, raw: v1.Connection) -> None:
        if not raw.HasField("handshake"):
            raw.handshake.CopyFrom(self.raw.handshake)  # it does not change
        self.raw = raw
        self.rooms = {raw.id, *raw.rooms}
        self.data_json = data_of(raw)


class Connections:
    """By namespace and id."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], Connection] = {}
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()

    def get(self, namespace: str, sid: str) -> Connection | None:
        return self._all.get((namespace, sid))

    def put(self, connection: Connection) -> None:
        self._all[connection.raw.namespace, connection.raw.id] = connection

    def remove(self, connection: Connection) -> None:
        key = (connection.raw.namespace, connection.raw.id)
        if self._all.get(key) is connection:
            del self._all[key]
        self._ended[key] = None
        if len(self._ended) > 10_000:
            self._ended.popitem(last=False)

    def release(self, ids: Iterable[str]) -> None:
        """Forgets connections that have moved to another process."""
        gone = set(ids)
        for key in [k for k, c in self._all.items() if k[1] in gone and c.state is State.CONNECTED]:
            del self._all[key]

    def ended(self, namespace: str, sid: str) -> bool:
        """Whether it has ended not long ago, here."""
        return (namespace, sid) in self._ended

    def mark_stale(self) -> None:
        for connection in self._all.values():
            connection.stale = True

    def drop_stale(self) -> None:
        for key in [k for k, c in self._all.items() if c.stale and c.state is State.CONNECTED]:
            del self._all[key]

    def of(self, namespace: str) -> Iterator[Connection]:
        for (its, _), connection in list(self._all.items()):
            if its == namespace:
                yield connection

    def namespaces(self) -> list[str]:
        return sorted({namespace for namespace, _ in list(self._all)})


def data_of(raw: v1.Connection) -> str:
    """A connection's data as the text of a JSON object."""
    if raw.data_json:
        return raw.data_json
    if not raw.HasField("data"):
        return "{}"
    return json.dumps(_whole(json_format.MessageToDict(raw.data)))


def _whole(value: Any) -> Any:
    """Numbers of a Struct are doubles: those that are whole were integers, most likely."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {k: _whole(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_whole(v) for v in value]
    return value
