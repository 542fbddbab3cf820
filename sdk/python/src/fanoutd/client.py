"""A client of the control API."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import grpc
import grpc.aio
from google.protobuf import duration_pb2

from . import errors, v1
from ._channel import MAX_REQUEST_BYTES, Channels
from ._commands import Commands
from ._payload import UndecodableError, decode, encode, escaped

if TYPE_CHECKING:
    from .consumer import Consumer

Mode = Literal["NAMESPACE", "TRANSPORT", "SESSION"]
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What one connection answered, or why it did not."""

    connection_id: str
    args: list[Any] | None  # None: no answer
    failure: Literal["", "TIMEOUT", "DISCONNECTED", "UNDECODABLE"] = ""  # UNDECODABLE: it is nested too deep, say


class Reached(int):
    """How many connections something that was done has reached: a number, which says too what
    it may lack. The nodes that answered have done it all the same."""

    partial: bool
    """Whether it may have missed some: nodes of a cluster did not answer, or of several
    namespaces one refused it."""

    unreachable: tuple[str, ...]
    """The names of the nodes that did not answer: whether they have done it is not known."""

    def __new__(cls, count: int, *, partial: bool = False, unreachable: Iterable[str] = ()) -> Reached:
        reached = super().__new__(cls, count)
        reached.partial = partial
        reached.unreachable = tuple(unreachable)
        return reached


class Answers(list[Answer]):
    """What the connections answered that were asked. unreachable has the names of the nodes of a
    cluster whose connections may not have been asked, of which there is nothing in the list."""

    unreachable: tuple[str, ...] = ()


class Client:
    """Acts on browsers, by any of several daemons.

    addresses are those of control APIs, "host:port", as a list or after each other with
    commas; default $FANOUTD_ADDRESS, or localhost:8081. When one is gone the next
    is asked. key is what the daemon's control-key-file has; default $FANOUTD_CONTROL_KEY.
    credentials make it TLS; default none, or the CA of $FANOUTD_CONTROL_CA_FILE.

    Emits, joins, leaves, updates and disconnects take effect in the order in which they were
    called. A call that waits longer than patience, in seconds, for a daemon raises
    UnavailableError, and has not been done; OutcomeUnknownError if it may have been. What is
    larger than max_request_bytes, the daemon's control-max-request, fails alone, as
    RESOURCE_EXHAUSTED, and is not sent; default 16 MiB, as there. Belongs to one event loop. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] | None = None,
        *,
        key: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        patience: float = 30.0,
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self.log = logging.getLogger("fanoutd")
        self.channels = Channels(addresses, key, credentials, max_request_bytes)
        self.commands = Commands(self.channels, self.log, patience)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Waits for what is under way, 5 s at most, and closes the connections."""
        await self.commands.close()
        await self.channels.close()

    @property
    def channel(self) -> grpc.aio.Channel:
        """The connection for calls that have no method here, with metadata:
        v1.AdminServiceStub(client.channel).ListNodes(v1.ListNodesRequest(), metadata=client.metadata)
        """
        return self.channels.channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return self.channels.metadata

    def consumer(
        self,
        group: str,
        *,
        consumer_id: str = "",
        namespaces: Sequence[str] = (),
        concurrency: int = 64,
        ack_wait: float = 30.0,
        include_connection: bool = False,
        skip_existing: bool = False,
        grace: float = 10.0,
    ) -> Consumer:
        """A member of a consumer group; see Consumer for its options."""
        from .consumer import Consumer

        return Consumer(
            self, group, consumer_id=consumer_id, namespaces=namespaces, concurrency=concurrency, ack_wait=ack_wait,
            include_connection=include_connection, skip_existing=skip_existing, grace=grace,
        )

    async def emit(
        self,
        to: v1.Target,
        event: str,
        *args: Any,
        volatile: bool = False,
        conflate_key: str = "",
        idempotency_key: str = "",
    ) -> Reached:
        """Sends an event to every connection of a target, and returns how many are known by
        then. bytes among the arguments, at any depth, become binary attachments. An event with
        a conflate_key is replaced, where it still waits, by the next one with the same key."""
        request = emit_request(to, event, args)
        request.volatile = volatile
        request.conflate_key = conflate_key
        request.idempotency_key = idempotency_key
        result = await self.commands.run(v1.Operation(emit=request), repeatable=bool(idempotency_key))
        return reached(result.emit.matched, result.emit)

    async def call(self, connection_id: str, event: str, *args: Any, timeout: float = 20.0, namespace: str = "/") -> list[Any]:
        """Sends an event to one connection, and returns what the client hands to its callback.
        NotFoundError, DisconnectedError, or DeadlineExceededError after timeout seconds."""
        text, attachments = encode(args)
        request = v1.CallRequest(namespace=namespace, id=connection_id, event=event, args_json=text, attachments=attachments)
        request.timeout.CopyFrom(seconds(timeout))
        result = await self.commands.run(v1.Operation(call=request))
        return decode(result.call.args_json, result.call.attachments)

    async def emit_with_ack(self, to: v1.Target, event: str, *args: Any, timeout: float = 20.0) -> Answers:
        """Sends an event to every connection of a target, and returns what each answered,
        within timeout seconds, in the order in which they did."""
        answers = Answers()

        def heard(result: v1.OperationResult) -> None:
            answer = answer_of(result)
            if answer is not None:
                answers.append(answer)

        request = v1.EmitWithAckRequest(emit=emit_request(to, event, args), timeout=seconds(timeout))
        command = await self.commands.submit(v1.Operation(emit_with_ack=request), heard=heard)
        result = await self.commands.result(command)
        answers.unreachable = tuple(result.emit_with_ack.summary.unreachable)
        return answers

    async def join(self, to: v1.Target, *rooms: str) -> Reached:
        """Puts the connections of a target into rooms, and returns how many these are."""
        result = await self.commands.run(v1.Operation(join=v1.JoinRequest(to=to, rooms=rooms)), repeatable=True)
        return reached(result.join.affected, result.join)

    async def leave(self, to: v1.Target, *rooms: str) -> Reached:
        """Takes the connections of a target out of rooms, and returns how many these are."""
        result = await self.commands.run(v1.Operation(leave=v1.LeaveRequest(to=to, rooms=rooms)), repeatable=True)
        return reached(result.leave.affected, result.leave)

    async def disconnect(self, to: v1.Target, *, mode: Mode = "NAMESPACE", reason: str = "") -> Reached:
        """Ends the connections of a target. Clients stay away, but with TRANSPORT: then they
        come back by themselves. SESSION ends all of the clients' namespaces."""
        request = v1.DisconnectRequest(to=to, mode=mode, reason=reason)
        result = await self.commands.run(v1.Operation(disconnect=request), repeatable=True)
        return reached(result.disconnect.affected, result.disconnect)

    async def update(
        self, connection_id: str, data: Mapping[str, Any], *, replace: bool = False, namespace: str = "/"
    ) -> v1.Connection:
        """Merges data into what is kept with a connection, key by key, a None removing its
        key; or replaces it. Returns the connection. NotFoundError if it is gone."""
        text = escaped(json.dumps(data, ensure_ascii=False, allow_nan=False))
        request = v1.UpdateConnectionRequest(namespace=namespace, id=connection_id, data_json=text, replace=replace)
        result = await self.commands.run(v1.Operation(update=request), repeatable=True)
        return result.update.connection

    async def connection(self, connection_id: str, *, namespace: str = "/") -> v1.Connection:
        """One connection as it is now. NotFoundError if it is gone."""
        request = v1.GetConnectionRequest(namespace=namespace, id=connection_id)
        response: v1.GetConnectionResponse = await self._unary(
            lambda c: v1.RegistryServiceStub(c).GetConnection(request, metadata=self.metadata, timeout=10)
        )
        return response.connection

    async def list_connections(self, to: v1.Target, *, allow_partial: bool = False) -> AsyncIterator[v1.Connection]:
        """The connections of a target, oldest first. If any are missing, since nodes do not
        answer, PartialError comes after the last one that there is, but with allow_partial."""
        token = ""
        listed = 0
        away: dict[str, None] = {}
        while True:
            request = v1.ListConnectionsRequest(to=to, page_size=500, page_token=token)
            page = await self._unary(
                lambda c, r=request: v1.RegistryServiceStub(c).ListConnections(r, metadata=self.metadata, timeout=30)  # type: ignore[misc]
            )
            away.update(dict.fromkeys(page.unreachable))
            listed += len(page.connections)
            for connection in page.connections:
                yield connection
            token = page.next_page_token
            if not token:
                break
        if away and not allow_partial:
            raise errors.PartialError(listed, list(away))

    async def count(self, to: v1.Target, *, allow_partial: bool = False) -> int:
        """How many connections a target has. PartialError if any are missing, since nodes do
        not answer; with allow_partial the others' are the answer."""
        request = v1.CountConnectionsRequest(to=to)
        response: v1.CountConnectionsResponse = await self._unary(
            lambda c: v1.RegistryServiceStub(c).CountConnections(request, metadata=self.metadata, timeout=10)
        )
        if response.unreachable and not allow_partial:
            raise errors.PartialError(response.total, response.unreachable)
        return response.total

    async def _unary(self, call: Callable[[grpc.aio.Channel], Any]) -> Any:
        """Asks one daemon after the other, each once, for something that changes nothing."""
        for left in reversed(range(len(self.channels.addresses))):
            channel = self.channels.channel
            try:
                return await call(channel)
            except grpc.aio.AioRpcError as err:
                failure = errors.of_rpc(err)
                if not left or not isinstance(failure, errors.UnavailableError):
                    raise failure from None
                self.channels.next(channel)
        raise AssertionError("there is an address")


def seconds(of: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromMicroseconds(int(of * 1_000_000))
    return duration


def reached(count: int, answer: v1.EmitResponse | v1.JoinResponse | v1.LeaveResponse | v1.DisconnectResponse) -> Reached:
    return Reached(count, partial=answer.partial, unreachable=answer.unreachable)


def emit_request(to: v1.Target, event: str, args: Sequence[Any]) -> v1.EmitRequest:
    """The request for an event, for who wants to set more than Client.emit does."""
    text, attachments = encode(args)
    return v1.EmitRequest(to=to, event=event, args_json=text, attachments=attachments)


def answer_of(result: v1.OperationResult) -> Answer | None:
    """One connection's outcome among the results of an emit_with_ack."""
    response = result.emit_with_ack
    match response.WhichOneof("response"):
        case "ack":
            try:
                args = decode(response.ack.args_json, response.ack.attachments)
            except UndecodableError:
                return Answer(response.ack.connection_id, None, "UNDECODABLE")
            return Answer(response.ack.connection_id, args)
        case "failed":
            late = response.failed.reason == v1.EmitWithAckResponse.Failed.TIMEOUT
            return Answer(response.failed.connection_id, None, "TIMEOUT" if late else "DISCONNECTED")
    return None
