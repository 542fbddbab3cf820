"""Hearing browsers: a member of a consumer group."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import duration_pb2

from . import errors, v1
from ._handlers import outcome
from ._payload import UndecodableError, decode, encode, expand, sendable
from ._subscription import Subscription
from .client import Client


class Retry(Exception):
    """Raised by a handler: the event is to come again, after delay seconds or a growing pause.
    blameless says that it is not the event's fault (a database is away): then it comes again
    for as long as it takes; otherwise it is given up after the daemon's max-attempts."""

    def __init__(self, message: str = "", *, delay: float | None = None, blameless: bool = False) -> None:
        super().__init__(message)
        self.delay = delay
        self.blameless = blameless


class Reject(Exception):
    """Raised by a handler: the event would fail always, and becomes a dead letter at once."""


class Refuse(Exception):
    """Raised by on_connecting: the client may not connect. message and data, any JSON value,
    reach its connect_error. retry: not now; the client tries again by itself."""

    def __init__(self, message: str = "", *, data: Any = None, retry: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        self.retry = retry


@dataclass(frozen=True)
class Allow:
    """Returned by on_connecting: whose the connection is, what it joins, what is kept with it."""

    user_id: str = ""
    rooms: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    expire_at: float = 0  # in seconds since 1970; 0: never


class Event:
    """One thing that a connection did. raw is all that the daemon said of it."""

    def __init__(self, raw: v1.Event) -> None:
        self.raw = raw
        self.name = raw.event
        self.namespace = raw.namespace
        self.connection_id = raw.connection_id
        self.user_id = raw.user_id
        self.reason = raw.reason  # of an end, in Socket.IO's words
        self.attempt = raw.attempt  # above 1: it was delivered before, and may have been handled
        self.args: list[Any] = decode(raw.args_json, raw.attachments)

    @property
    def key(self) -> str:
        """Names the event at every attempt: an idempotency key for what it causes."""
        return self.raw.delivery_id

    @property
    def connection(self) -> v1.Connection:
        """The connection, of all but messages, and of those with include_connection."""
        return self.raw.connection


Handler = Callable[[Event], Awaitable[Any]]


class Consumer:
    """A member of a group: it hears browsers and hands what it hears to handlers.

    Events of one connection are handled one at a time, in order; different connections at
    once, up to concurrency. An event is settled when its handler has returned: what it
    returns is the reply, a tuple for several arguments. An exception gives the event back,
    and it comes again after a pause: see Retry and Reject. An UnavailableError is not counted
    against it. A ValueError is not special: answer what a browser got wrong. Delivery is at least once.

    group shares the work: each event goes to one of its members. namespaces are those whose
    events are wanted, default all. Register all handlers before run.
    """

    def __init__(
        self,
        client: Client,
        group: str,
        *,
        consumer_id: str = "",
        namespaces: Sequence[str] = (),
        concurrency: int = 64,
        ack_wait: float = 30.0,
        include_connection: bool = False,
        skip_existing: bool = False,
        grace: float = 10.0,
    ) -> None:
        self._client = client
        self._log = logging.getLogger("fanoutd.consumer")
        self._grace = grace
        self._handlers: dict[str, Handler] = {}
        self._any: Handler | None = None
        self._connecting: Callable[[Event], Awaitable[Allow | None]] | None = None
        self._connect: Handler | None = None
        self._disconnect: Handler | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._subscription: Subscription | None = None
        wait = duration_pb2.Duration()
        wait.FromMicroseconds(int(ack_wait * 1_000_000))
        self._opening = v1.ConsumeRequest.Open(
            group=group,
            consumer_id=consumer_id or str(uuid.uuid4()),
            namespaces=namespaces,
            max_in_flight=concurrency,
            ack_wait=wait,
            include_connection=include_connection,
            skip_existing=skip_existing,
            one_by_one=True,
        )

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Registers the handler of one event."""

        def register(handler: Handler) -> Handler:
            self._handlers[event] = handler
            return handler

        return register

    def on_any(self, handler: Handler) -> Handler:
        """Registers the handler of all events without one. Otherwise these are not asked for."""
        self._any = handler
        return handler

    def on_connecting(self, handler: Callable[[Event], Awaitable[Allow | None]]) -> Callable[[Event], Awaitable[Allow | None]]:
        """Registers who decides on connections, and makes the group decide: without a member
        of it nobody gets in. The client's auth is args[0]. It returns an Allow, or None, which
        allows; or raises Refuse. After any other exception the client tries again."""
        self._connecting = handler
        return handler

    def on_connect(self, handler: Handler) -> Handler:
        """Registers who hears of connections that have come in, before anything else of them."""
        self._connect = handler
        return handler

    def on_disconnect(self, handler: Handler) -> Handler:
        """Registers who hears of connections that have ended."""
        self._disconnect = handler
        return handler

    async def run(self) -> None:
        """Joins the group, and handles events until the task is cancelled. It comes back by
        itself when a daemon is gone. Cancelled, it takes no more events, lets handlers finish
        what they have, for the grace, and settles it: nothing is lost or repeated.

        Raises what no further try can change: a key or group that the daemon does not accept,
        or that the group was deleted, or that another has joined with the same id."""
        opening = v1.ConsumeRequest.Open()
        opening.CopyFrom(self._opening)
        opening.lifecycle = self._connect is not None or self._disconnect is not None
        opening.authorize = self._connecting is not None
        if self._any is None:
            # A list that is empty would mean all.
            opening.events.extend(self._handlers or ["none " + uuid.uuid4().hex])
        subscription = Subscription(self._client.channels, opening, self, self._log)
        self._subscription = subscription
        task = subscription.start()
        try:
            await asyncio.shield(task)
        finally:
            if not task.done():
                await subscription.stop(self._grace)
            for handling in self._tasks.values():
                handling.cancel()
            if self._tasks:
                await asyncio.wait([*self._tasks.values()])
            with contextlib.suppress(asyncio.CancelledError, errors.FanoutdError):
                await task

    # What the subscription tells.

    def on_ready(self, ready: v1.ConsumeResponse.Ready) -> None:
        self._log.info("joined %s as %s", ready.group, ready.consumer_id)

    def on_event(self, event: v1.Event) -> None:
        task = asyncio.create_task(self._handle(event))
        self._tasks[event.delivery_id] = task
        task.add_done_callback(lambda _: self._handled(event.delivery_id, task))

    def _handled(self, delivery_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(delivery_id) is task:  # the event may have come again meanwhile
            del self._tasks[delivery_id]

    def on_assigned(self, connections: Iterable[v1.Connection], too_large: Iterable[str]) -> None: ...

    def on_released(self, ids: Iterable[str]) -> None: ...

    def on_changed(self, connections: Iterable[v1.Connection], too_large: Iterable[str]) -> None: ...

    def on_cancelled(self, ids: Iterable[str], reason: int) -> None:
        for delivery_id in ids:
            if delivery_id in self._tasks:
                self._tasks[delivery_id].cancel()

    def on_rejected(self, delivery_id: str, request: int, err: errors.FanoutdError) -> None:
        wrong = isinstance(err, errors.InvalidArgumentError)
        self._log.log(logging.ERROR if wrong else logging.DEBUG, "a settlement was not carried out: %s", err)

    def on_lost(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _handle(self, raw: v1.Event) -> None:
        subscription = self._subscription
        assert subscription is not None
        key = raw.delivery_id
        try:
            if raw.kind == v1.Event.CONNECTING:
                subscription.verdict(await self._decide(raw))
                return
            handler = self._handlers.get(raw.event, self._any)
            if raw.kind == v1.Event.CONNECTED:
                handler = self._connect
            elif raw.kind == v1.Event.DISCONNECTED:
                handler = self._disconnect
            reply = await outcome(handler(Event(raw))) if handler is not None else None
            if raw.reply_expected:
                subscription.reply(key, *encode(expand(reply)))
            else:
                subscription.ack(key)
        except Retry as err:
            reason = v1.ConsumeRequest.Nack.UNAVAILABLE if err.blameless else v1.ConsumeRequest.Nack.FAILED
            subscription.nack(key, reason, err.delay)
        except (Reject, UndecodableError) as err:
            self._log.warning("%s of %s was rejected: %s", raw.event or raw.kind, raw.connection_id, err)
            subscription.nack(key, v1.ConsumeRequest.Nack.REJECTED)
        except errors.UnavailableError as err:
            # Not the event's fault: it comes again for as long as it takes.
            self._log.warning("%s of %s waits for a daemon: %s", raw.event or v1.Event.Kind.Name(raw.kind), raw.connection_id, err)
            subscription.nack(key, v1.ConsumeRequest.Nack.UNAVAILABLE)
        except Exception:
            self._log.exception("%s of %s failed, attempt %d", raw.event or v1.Event.Kind.Name(raw.kind), raw.connection_id, raw.attempt)
            subscription.nack(key)

    async def _decide(self, raw: v1.Event) -> v1.ConsumeRequest.Verdict:
        verdict = v1.ConsumeRequest.Verdict(delivery_id=raw.delivery_id)
        assert self._connecting is not None
        try:
            allow = await outcome(self._connecting(Event(raw)))
            verdict.allow.CopyFrom(_allowed(Allow() if allow is None else allow))
            return verdict
        except UndecodableError as err:
            verdict.refuse.message = f"auth cannot be read: {err}"
            return verdict
        except Refuse as err:
            verdict.refuse.message = sendable(err.message)
            verdict.refuse.retry = err.retry
            if err.data is not None:
                try:
                    verdict.refuse.data_json = json.dumps(err.data)
                except (TypeError, ValueError):
                    self._log.exception("the data of a refusal is left out: %s", raw.connection_id)
            return verdict
        except Exception:
            self._log.exception("who may connect could not be decided: %s", raw.connection_id)
            await asyncio.sleep(random.uniform(0.1, 0.3))  # a storm of clients is to find a pause
            verdict.refuse.retry = True
            return verdict


def _allowed(allow: Allow) -> v1.ConsumeRequest.Verdict.Allow:
    if not isinstance(allow, Allow):
        raise TypeError(f"on_connecting returned {allow!r}: an Allow lets in, or None; a Refuse is raised")
    if isinstance(allow.rooms, str):
        raise TypeError(f"rooms: {allow.rooms!r} is a name, not a list of names")
    allowed = v1.ConsumeRequest.Verdict.Allow(user_id=allow.user_id, rooms=allow.rooms)
    if allow.data:
        allowed.data_json = json.dumps(dict(allow.data))
    if allow.expire_at:
        allowed.expire_at.FromMicroseconds(int(allow.expire_at * 1_000_000))
    return allowed
