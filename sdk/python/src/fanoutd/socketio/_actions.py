"""What handlers, and programs outside of them, do by a server: on its event loop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc.aio

from .. import errors, v1
from .._channel import Channels
from .._commands import Commands
from .._payload import decode, encode, escaped, expand
from ..client import answer_of, seconds
from . import exceptions
from ._connections import Connection, Connections, Deferred, State, data_of

if TYPE_CHECKING:
    from ._base_server import BaseServer

Invoke = Callable[..., Awaitable[Any]]


class Actions:
    """Acts on connections, with one order for all that it does. What is for one that is still
    being let in waits until it is there."""

    def __init__(
        self, server: BaseServer, consumer_id: str, connections: Connections, channels: Channels, invoke: Invoke, log: logging.Logger
    ) -> None:
        self._server = server
        self.connections = connections
        self._channels = channels
        # So that `changed` tells of what others do.
        opening = v1.ExecuteRequest.Open(group=server.group, consumer_id=consumer_id)
        self._commands = Commands(channels, log, opening=opening)
        self._invoke = invoke
        self._log = log
        self._tasks: set[asyncio.Future[None]] = set()

    async def close(self) -> None:
        await self._commands.close()
        for task in list(self._tasks):
            task.cancel()

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        rooms: list[str] | None,
        skip: list[str],
        callback: Callable[..., Any] | None,
    ) -> None:
        """Sends an event to the members of rooms, or to everybody for None. Those who are
        being let in get it when they are."""
        text, attachments = encode(expand(data), self._server.json)
        waiting = [
            c
            for c in self.connections.of(namespace)
            if c.pending and c.raw.id not in skip and (rooms is None or not c.rooms.isdisjoint(rooms))
        ]
        ids = {c.raw.id for c in waiting}

        def request(target: v1.Target) -> v1.EmitRequest:
            return v1.EmitRequest(to=target, event=event, args_json=text, attachments=attachments)

        for connection in waiting:
            connection.deferred.append(self._emit(request(ids_of(connection)), callback))
        others = None if rooms is None else [r for r in rooms if r not in ids]
        if others is None or others:
            target = v1.Target(namespace=namespace, all=others is None, rooms=others)
            getattr(target, "except").extend([*skip, *sorted(ids)])  # a keyword here
            emit = self._emit(request(target), callback)
            if emit.heard is None:
                await self.operate(emit.operation)
            else:
                await self._placed(emit.operation, emit.heard)

    def _emit(self, request: v1.EmitRequest, callback: Callable[..., Any] | None) -> Deferred:
        """An emit, or with a callback an emit_with_ack, and what hears its answers."""
        if callback is None:
            return Deferred(v1.Operation(emit=request))

        def heard(result: v1.OperationResult) -> None:
            answer = answer_of(result)
            if answer is not None and answer.args is not None:
                task = asyncio.ensure_future(self._answered(callback, answer.args))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        timeout = seconds(self._server.ack_timeout)
        return Deferred(v1.Operation(emit_with_ack=v1.EmitWithAckRequest(emit=request, timeout=timeout)), heard)

    async def _placed(self, operation: v1.Operation, heard: Callable[[v1.OperationResult], None]) -> None:
        """Returns when an emit_with_ack has its place; answers are heard when they come."""
        started = asyncio.get_running_loop().create_future()

        def first(result: v1.OperationResult) -> None:
            if not started.done():
                started.set_result(None)
            heard(result)

        command = await self._commands.submit(operation, heard=first)
        await asyncio.wait([started, command.done], return_when=asyncio.FIRST_COMPLETED)
        if command.done.done():
            command.done.result()

    def do_deferred(self, connection: Connection) -> list[asyncio.Future[v1.OperationResult]]:
        """Does what waited for a connection to be there: before anything that comes later.
        Returns the outcomes, but for what browsers answer."""
        deferred, connection.deferred = connection.deferred, []
        commands = [self._commands.enqueue(d.operation, heard=d.heard) for d in deferred]
        return [c.done for c in commands if not c.awaits]

    async def _answered(self, callback: Callable[..., Any], args: list[Any]) -> None:
        try:
            await self._invoke(callback, *args)
        except Exception:
            self._log.exception("a callback failed")

    async def call(self, event: str, data: Any, sid: str, namespace: str, timeout: float) -> Any:
        """Sends an event to one connection, and returns what it answers."""
        connection = self.connections.get(namespace, sid)
        if connection is not None and connection.pending:
            raise RuntimeError("Cannot call() a client from its connect handler: it is not connected before that has returned.")
        text, attachments = encode(expand(data), self._server.json)
        request = v1.CallRequest(
            namespace=namespace, id=sid, event=event, args_json=text, attachments=attachments, timeout=seconds(timeout)
        )
        try:
            result = await self.operate(v1.Operation(call=request))
        except errors.DeadlineExceededError:
            raise exceptions.TimeoutError() from None
        except (errors.DisconnectedError, errors.NotFoundError) as err:
            raise exceptions.CallDisconnectedError(str(err)) from None
        args = decode(result.call.args_json, result.call.attachments, self._server.json)
        return tuple(args) if len(args) > 1 else args[0] if args else None

    async def enter_room(self, sid: str, room: str, namespace: str) -> None:
        if room != sid and self.connections.get(namespace, room) is not None:
            raise ValueError("cannot enter a sid room")
        connection = self.connections.get(namespace, sid)
        operation = v1.Operation(join=v1.JoinRequest(to=v1.Target(namespace=namespace, ids=[sid]), rooms=[room]))
        if connection is not None and connection.pending:
            if connection.state is State.ADMITTED:
                connection.deferred.append(Deferred(operation))
            connection.rooms.add(room)
            return
        result = await self.operate(operation, repeatable=True)
        if not result.join.affected:
            raise ValueError("sid is not connected to requested namespace")
        if connection is not None:
            connection.rooms.add(room)

    async def leave_room(self, sid: str, room: str, namespace: str) -> None:
        connection = self.connections.get(namespace, sid)
        operation = v1.Operation(leave=v1.LeaveRequest(to=v1.Target(namespace=namespace, ids=[sid]), rooms=[room]))
        if connection is not None and connection.pending:
            if connection.state is State.ADMITTED:
                connection.deferred.append(Deferred(operation))
            connection.rooms.discard(room)
            return
        await self.operate(operation, repeatable=True)
        if connection is not None:
            connection.rooms.discard(room)

    async def close_room(self, room: str, namespace: str) -> None:
        if self.connections.get(namespace, room) is not None:
            raise ValueError("cannot close a sid room")
        members = [c for c in self.connections.of(namespace) if room in c.rooms]
        target = v1.Target(namespace=namespace, rooms=[room])
        await self.operate(v1.Operation(leave=v1.LeaveRequest(to=target, rooms=[room])), repeatable=True)
        for connection in members:
            connection.rooms.discard(room)

    async def get_session(self, sid: str, namespace: str) -> dict[str, Any]:
        connection = self.connections.get(namespace, sid)
        text = connection.data_json if connection is not None else data_of(await self._ask(sid, namespace))
        session: dict[str, Any] = json.loads(text)
        return session

    async def save_session(self, sid: str, session: dict[str, Any], namespace: str) -> None:
        text = _session(session)
        request = v1.UpdateConnectionRequest(namespace=namespace, id=sid, data_json=text, replace=True)
        operation = v1.Operation(update=request)
        connection = self.connections.get(namespace, sid)
        if connection is not None and connection.pending:
            if connection.state is State.ADMITTED:
                connection.deferred.append(Deferred(operation))
            connection.data_json = text
            return
        if connection is not None and connection.state is State.ENDED:
            connection.data_json = text  # until its disconnect handler has returned
            return
        try:
            await self.operate(operation, repeatable=True)
        except errors.NotFoundError:
            raise KeyError("Session not found") from None
        if connection is not None:
            connection.data_json = text

    async def disconnect(self, sid: str, namespace: str) -> None:
        operation = v1.Operation(disconnect=v1.DisconnectRequest(to=v1.Target(namespace=namespace, ids=[sid])))
        connection = self.connections.get(namespace, sid)
        if connection is not None and connection.pending:
            connection.deferred.append(Deferred(operation))
            return
        await self.operate(operation, repeatable=True)

    async def ask_rooms(self, sid: str, namespace: str) -> list[str]:
        """The rooms of a connection that another process may own; none of one that is gone."""
        try:
            return list((await self._ask(sid, namespace)).rooms)
        except KeyError:
            return []

    async def _ask(self, sid: str, namespace: str) -> v1.Connection:
        request = v1.GetConnectionRequest(namespace=namespace, id=sid)
        stub = v1.RegistryServiceStub(self._channels.channel)
        try:
            response = await stub.GetConnection(request, metadata=self._channels.metadata, timeout=10)
        except grpc.aio.AioRpcError as err:
            failure = errors.of_rpc(err)
            if isinstance(failure, errors.NotFoundError):
                raise KeyError("Session not found") from None
            raise failure from None
        return response.connection

    async def operate(self, operation: v1.Operation, *, repeatable: bool = False) -> v1.OperationResult:
        return await self._commands.run(operation, repeatable=repeatable)


def ids_of(connection: Connection) -> v1.Target:
    """The target that is one connection."""
    return v1.Target(namespace=connection.raw.namespace, ids=[connection.raw.id])


def _session(session: Any) -> str:
    """The text of a session. TypeError for what would not be the same when it is read."""
    if not isinstance(session, dict):
        raise TypeError("a session is a dictionary")
    _check(session)
    try:
        return escaped(json.dumps(session, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    except TypeError as err:
        raise TypeError(f"a session is kept with its connection by fanoutd, as JSON, for every process: {err}") from None


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a session is kept as JSON, whose keys are strings: {key!r} is none")
            _check(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check(inner)
