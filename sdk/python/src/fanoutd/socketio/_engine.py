"""What both servers hear by: deliveries to handlers, on one event loop. The servers differ in
how they call handlers."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from .. import errors, v1
from .._channel import Channels
from .._payload import UndecodableError, decode, encode, expand, load, sendable
from .._subscription import Subscription
from ..consumer import Reject, Retry
from . import exceptions
from ._actions import Actions, Invoke, ids_of
from ._connections import Connection, Connections, State
from ._environ import environ_of

if TYPE_CHECKING:
    from ._base_server import BaseServer

ADMITTED_FOR = 60.0  # seconds until a connection that was let in, and did not come, is given up
STALE_FOR = 30.0  # seconds that what an earlier stream told of is believed

REASONS = {
    v1.Event.CLIENT_LEFT: "client disconnect",
    v1.Event.BACKEND: "server disconnect",
    v1.Event.PING_TIMEOUT: "ping timeout",
    v1.Event.TRANSPORT_CLOSE: "transport close",
    v1.Event.TRANSPORT_ERROR: "transport error",
}


class Engine:
    """Hears a group's events for a server."""

    def __init__(self, server: BaseServer, channels: Channels, invoke: Invoke, log: logging.Logger) -> None:
        self.server = server
        self.connections = Connections()
        self.loop = asyncio.get_running_loop()
        self._channels = channels
        self._consumer_id = str(uuid.uuid4())
        self.actions = Actions(server, self._consumer_id, self.connections, channels, invoke, log)
        self._invoke = invoke
        self._log = log
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._connecting: dict[str, Connection] = {}  # by delivery id
        self._namespaces: list[str] | None = None
        self._restarting: asyncio.Task[None] | None = None

    # Beginning and end.

    async def start(self, patience: float) -> None:
        """Joins the group. Returns when that is done, or after patience seconds, and goes on
        trying. Raises what no further try can change."""
        if self._task is None:
            self._subscribe()
        assert self._task is not None and self._subscription is not None
        ready = asyncio.create_task(self._subscription.ready.wait())
        try:
            await asyncio.wait([ready, self._task], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._task.done():
            self._task.result()
        elif not self._subscription.ready.is_set():
            self._log.warning("no fanoutd at %s answers yet: trying on", ", ".join(self._channels.addresses))

    def _subscribe(self) -> None:
        server = self.server
        self._namespaces = server.consumed_namespaces()
        opening = v1.ConsumeRequest.Open(
            group=server.group,
            consumer_id=self._consumer_id,
            namespaces=self._namespaces,
            lifecycle=True,
            authorize=True,
            assignments=True,
            max_in_flight=server.max_in_flight,
            one_by_one=not server.async_handlers,
            view=v1.Connection.FULL,
        )
        self._subscription = Subscription(self._channels, opening, self, self._log)
        self._task = self._subscription.start()
        self._task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._log.error("this server hears nobody any more: %s", task.exception())

    def namespaces_changed(self) -> None:
        """Handlers of another namespace have come: it is asked for too."""
        if self._subscription is None or self._restarting is not None or self.server.consumed_namespaces() == self._namespaces:
            return
        self._restarting = self.loop.create_task(self._resubscribe())

    async def _resubscribe(self) -> None:
        await asyncio.sleep(0)  # handlers are registered many at a time
        subscription = self._subscription
        if subscription is not None:
            await subscription.stop()
            self._restarting = None
            self._subscribe()

    async def stop(self, grace: float) -> None:
        """Takes no more events, lets handlers finish, for the grace, and settles those."""
        if self._restarting is not None:
            self._restarting.cancel()
        if self._subscription is not None:
            await self._subscription.stop(grace)
            self._subscription = None
        await self.actions.close()
        for task in list(self._tasks):
            task.cancel()
        await self._channels.close()

    # What the subscription tells.

    def on_ready(self, ready: v1.ConsumeResponse.Ready) -> None:
        self._log.info("joined %s at %s", ready.group, ready.node)
        self.connections.mark_stale()
        self.loop.call_later(STALE_FOR, self.connections.drop_stale)

    def on_assigned(self, connections: Iterable[v1.Connection], too_large: Iterable[str]) -> None:
        for raw in connections:
            self._assign(raw)
        for sid in too_large:
            self._log.warning("connection %s is too large to be told of: its session and rooms are asked for when they are wanted", sid)

    def _assign(self, raw: v1.Connection) -> None:
        known = self.connections.get(raw.namespace, raw.id)
        if known is None:
            self.connections.put(Connection(raw, State.CONNECTED))
            return
        known.stale = False
        if known.state is not State.CONNECTING:
            known.update(raw)

    def on_changed(self, connections: Iterable[v1.Connection], too_large: Iterable[str]) -> None:
        for raw in connections:
            known = self.connections.get(raw.namespace, raw.id)
            if known is not None and not known.pending:
                known.update(raw)
        self.connections.release(too_large)  # they are asked for when they are wanted

    def on_released(self, ids: Iterable[str]) -> None:
        self.connections.release(ids)

    def on_cancelled(self, ids: Iterable[str], reason: int) -> None:
        for delivery_id in ids:
            connection = self._connecting.get(delivery_id)
            if connection is not None:
                connection.cancelled = True

    def on_rejected(self, delivery_id: str, request: int, err: errors.FanoutdError) -> None:
        wrong = isinstance(err, errors.InvalidArgumentError)
        self._log.log(logging.ERROR if wrong else logging.DEBUG, "a settlement was not carried out: %s", err)

    def on_lost(self) -> None:
        for connection in self._connecting.values():
            connection.cancelled = True

    def on_event(self, event: v1.Event) -> None:
        connection = self.connections.get(event.namespace, event.connection_id)
        if event.kind == v1.Event.CONNECTING:
            connection = Connection(event.connection, State.CONNECTING)
            self.connections.put(connection)
            self._connecting[event.delivery_id] = connection
            self._go(self._let_in(event, connection))
        elif event.kind == v1.Event.CONNECTED:
            self._connected(event, connection)
        elif event.kind == v1.Event.DISCONNECTED:
            if connection is None:
                connection = Connection(event.connection, State.CONNECTED)
                connection.raw.id, connection.raw.namespace = event.connection_id, event.namespace
            elif event.HasField("connection"):
                connection.update(event.connection)
            refused, connection.state = connection.refused, State.ENDED
            reason = REASONS.get(event.cause, event.reason)
            self._go(self._disconnected(event, connection, reason, heard=not refused))
        else:
            self._go(self._message(event, connection))

    def _go(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Coming in.

    async def _let_in(self, event: v1.Event, connection: Connection) -> None:
        assert self._subscription is not None
        verdict = v1.ConsumeRequest.Verdict(delivery_id=event.delivery_id)
        refusal: dict[str, Any] | None = None
        try:
            auth = decode(event.args_json, event.attachments, self.server.json)
            connection.auth = auth[0] if auth else None
            if not self.server.always_connect:
                refusal = await self._connect_handler(connection)
        except UndecodableError as err:
            refusal = _unreadable(err)
        except Exception:
            self._log.exception("the connect handler failed for %s, which comes again", connection.raw.id)
            verdict.refuse.retry = True
            refusal = {}
        finally:
            self._connecting.pop(event.delivery_id, None)
        if refusal is not None:
            connection.refused = True
            self.connections.remove(connection)
            if not verdict.HasField("refuse"):
                verdict.refuse.message = sendable(refusal.get("message", ""))
                if "data" in refusal:
                    verdict.refuse.data_json = encode([refusal["data"]], self.server.json)[0][1:-1]
        else:
            verdict.allow.rooms.extend(sorted(connection.rooms - {connection.raw.id}))
            if connection.data_json != "{}":
                verdict.allow.data_json = connection.data_json
            verdict.allow.SetInParent()
            connection.state = State.ADMITTED
            if connection.cancelled or not self._subscription.in_flight(event.delivery_id):
                await self._never_came(connection)
                return
            self.loop.call_later(ADMITTED_FOR, lambda: self._go(self._never_came(connection)))
        self._subscription.verdict(verdict)

    async def _never_came(self, connection: Connection) -> None:
        """The connect handler let in a client that did not wait: it is told of its end."""
        current = self.connections.get(connection.raw.namespace, connection.raw.id)
        if connection.state is State.ADMITTED and current is connection:
            connection.state = State.ENDED
            await self._disconnected(None, connection, "transport close", heard=not self.server.always_connect)

    async def _connect_handler(self, connection: Connection) -> dict[str, Any] | None:
        """Runs the connect handler. Returns what it refuses with, or None."""
        raw = connection.raw
        handler, args = self.server.find_handler("connect", raw.namespace, (raw.id, self._environ(connection), connection.auth))
        if handler is None:
            return None
        try:
            try:
                answer = await self._invoke(handler, *args)
            except TypeError as first:
                if connection.auth:
                    raise
                try:
                    answer = await self._invoke(handler, *args[:-1])  # it wants no auth
                except TypeError:
                    raise first from None
        except Exception as err:
            refusal = _refusal(err)
            if refusal is None:
                raise
            return refusal
        return exceptions.ConnectionRefusedError().error_args if answer is False else None

    def _environ(self, connection: Connection) -> dict[str, Any]:
        return environ_of(connection.raw, self.server.is_asyncio_based())

    def _connected(self, event: v1.Event, connection: Connection | None) -> None:
        assert self._subscription is not None
        admitted = connection is not None and connection.state is State.ADMITTED
        if connection is None:
            connection = Connection(event.connection, State.CONNECTED)
            self.connections.put(connection)
        elif event.HasField("connection"):
            connection.update(event.connection)
        connection.state = State.CONNECTED
        connection.stale = False
        outcomes = self.actions.do_deferred(connection)
        if admitted and not self.server.always_connect:
            self._go(self._deferred_done(event, outcomes))
            return
        # One that was let in by nobody here, and one that is let in before its handler runs.
        if event.existing or self.server.always_connect or connection.raw.recovered:
            connection.gate = self.loop.create_future()
            self._go(self._connect_late(event, connection))
        else:
            self._subscription.ack(event.delivery_id)

    async def _deferred_done(self, event: v1.Event, outcomes: list[asyncio.Future[v1.OperationResult]]) -> None:
        assert self._subscription is not None
        for outcome in await asyncio.gather(*outcomes, return_exceptions=True):
            if isinstance(outcome, Exception):
                self._log.error("what a connect handler did for %s was not done: %s", event.connection_id, outcome)
        self._subscription.ack(event.delivery_id)

    async def _connect_late(self, event: v1.Event, connection: Connection) -> None:
        """Runs the connect handler of a connection that is there already."""
        assert self._subscription is not None and connection.gate is not None
        refusal: dict[str, Any] | None = None
        try:
            if connection.auth is None and connection.raw.handshake.auth_json:
                connection.auth = load(connection.raw.handshake.auth_json, self.server.json)
            refusal = await self._connect_handler(connection)
        except UndecodableError as err:
            refusal = _unreadable(err)
        except Exception:
            self._log.exception("the connect handler failed for %s", connection.raw.id)
        finally:
            gate, connection.gate = connection.gate, None
            gate.set_result(None)
        if refusal is not None:
            connection.refused = True
            await self.actions.operate(v1.Operation(disconnect=v1.DisconnectRequest(to=ids_of(connection))), repeatable=True)
        self._subscription.ack(event.delivery_id)

    # While it is there, and its end.

    async def _message(self, event: v1.Event, connection: Connection | None) -> None:
        assert self._subscription is not None
        subscription = self._subscription
        if connection is not None and connection.gate is not None:
            await connection.gate
        try:
            args = decode(event.args_json, event.attachments, self.server.json)
            handler, all_args = self.server.find_handler(event.event, event.namespace, (event.connection_id, *args))
            answer = await self._invoke(handler, *all_args) if handler is not None else None
            if handler is not None and event.reply_expected:
                subscription.reply(event.delivery_id, *encode(expand(answer), self.server.json))
            else:
                subscription.ack(event.delivery_id)
        except Retry as err:
            why = v1.ConsumeRequest.Nack.UNAVAILABLE if err.blameless else v1.ConsumeRequest.Nack.FAILED
            subscription.nack(event.delivery_id, why, err.delay)
        except Reject:
            subscription.nack(event.delivery_id, v1.ConsumeRequest.Nack.REJECTED)
        except Exception:
            # As with python-socketio: it is logged, and gone. Retry has it come again.
            self._log.exception("the handler of %s failed", event.event)
            subscription.ack(event.delivery_id)

    async def _disconnected(self, event: v1.Event | None, connection: Connection, reason: str, *, heard: bool) -> None:
        raw = connection.raw
        try:
            if heard:
                handler, args = self.server.find_handler("disconnect", raw.namespace, (raw.id, reason))
                if handler is not None:
                    await self._disconnect_handler(handler, args)
        except Exception:
            self._log.exception("the disconnect handler failed for %s", raw.id)
        self.connections.remove(connection)
        if event is not None and self._subscription is not None:
            self._subscription.ack(event.delivery_id)

    async def _disconnect_handler(self, handler: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            await self._invoke(handler, *args)
        except TypeError:
            await self._invoke(handler, *args[:-1])  # it wants no reason


def _unreadable(err: UndecodableError) -> dict[str, Any]:
    """What a client is refused with whose auth no handler can be given."""
    return {"message": f"auth cannot be read: {err}"}


def _refusal(err: Exception) -> dict[str, Any] | None:
    """What an exception of a connect handler refuses with; None if it is another one."""
    args = getattr(err, "error_args", None)  # python-socketio's own has them too
    if isinstance(args, dict) and type(err).__name__ == "ConnectionRefusedError" or isinstance(err, exceptions.ConnectionRefusedError):
        return dict(args or {})
    if isinstance(err, ConnectionRefusedError):
        return {"message": "Connection refused by server"}
    return None
