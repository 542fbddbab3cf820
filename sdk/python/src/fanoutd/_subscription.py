"""One member of a consumer group: the stream EventService.Consume, and coming back to it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

import grpc
import grpc.aio

from . import errors, v1
from ._channel import Backoff, Channels

# Reasons of an end after which nobody comes back.
FINAL = {"CONSUMER_REPLACED", "GROUP_DELETED"}


class Listener(Protocol):
    """What hears a subscription. Its methods are called one at a time, on the event loop,
    and do not block."""

    def on_ready(self, ready: v1.ConsumeResponse.Ready) -> None: ...
    def on_event(self, event: v1.Event) -> None: ...
    def on_assigned(self, connections: Iterable[v1.Connection], too_large: Iterable[str]) -> None: ...
    def on_released(self, ids: Iterable[str]) -> None: ...
    def on_changed(self, connections: Iterable[v1.Connection], too_large: Iterable[str]) -> None: ...
    def on_cancelled(self, ids: Iterable[str], reason: int) -> None: ...
    def on_rejected(self, delivery_id: str, request: int, err: errors.FanoutdError) -> None: ...
    def on_lost(self) -> None: ...


class Subscription:
    """Lives through as many streams as it takes. Deliveries are settled by their ids; what
    belongs to a stream that has ended is left out, since it comes again. For one event loop.
    """

    def __init__(self, channels: Channels, opening: v1.ConsumeRequest.Open, listener: Listener, log: logging.Logger) -> None:
        self._channels = channels
        self._opening = opening
        self._listener = listener
        self._log = log
        self._out: deque[v1.ConsumeRequest | str] = deque()  # of this stream; a str is the id of an ack
        self._more = asyncio.Event()  # of this stream: there is something in _out, or it ends
        self._in_flight: dict[str, bool] = {}  # by delivery id: whether `working` is for it
        self._leaving = False
        self._settled = asyncio.Event()
        self.ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begins. The task ends after stop, and raises what no further try can change."""
        self._task = asyncio.create_task(self._keep())
        return self._task

    async def stop(self, grace: float = 10.0) -> None:
        """Takes no more events, has those that came settled, within the grace, and ends."""
        if self._task is None:
            return
        if self.ready.is_set() and not self._leaving:
            self._leaving = True
            self._send(v1.ConsumeRequest(leave=v1.ConsumeRequest.Leave()))
            await asyncio.wait([self._task], timeout=grace)
        self._leaving = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def ack(self, delivery_id: str) -> None:
        if self._settle(delivery_id):
            self._out.append(delivery_id)
            self._more.set()

    def nack(self, delivery_id: str, reason: v1.ConsumeRequest.Nack.Reason | int = 0, delay: float | None = None) -> None:
        nack = v1.ConsumeRequest.Nack(delivery_ids=[delivery_id], reason=reason)  # type: ignore[arg-type]
        if delay is not None:
            nack.delay.FromMicroseconds(int(delay * 1e6))
        if self._settle(delivery_id):
            self._send(v1.ConsumeRequest(nack=nack))

    def reply(self, delivery_id: str, args_json: str, attachments: Iterable[bytes]) -> None:
        reply = v1.ReplyRequest(delivery_id=delivery_id, args_json=args_json, attachments=attachments)
        if self._settle(delivery_id):
            self._send(v1.ConsumeRequest(reply=reply))

    def verdict(self, verdict: v1.ConsumeRequest.Verdict) -> None:
        if self._settle(verdict.delivery_id):
            self._send(v1.ConsumeRequest(verdict=verdict))

    def in_flight(self, delivery_id: str) -> bool:
        return delivery_id in self._in_flight

    def _settle(self, delivery_id: str) -> bool:
        if self._in_flight.pop(delivery_id, None) is None:
            return False
        if not self._in_flight:
            self._settled.set()
        return True

    def _send(self, request: v1.ConsumeRequest) -> None:
        self._out.append(request)
        self._more.set()

    async def _keep(self) -> None:
        backoff = Backoff()
        while not self._leaving:
            channel = self._channels.channel
            try:
                await self._stream(channel, backoff)
            except grpc.aio.AioRpcError as err:
                failure = errors.of_rpc(err)
                wrong = (errors.InvalidArgumentError, errors.PermissionDeniedError)
                if isinstance(failure, wrong) or failure.reason in FINAL:
                    raise failure from None
                if failure.code == grpc.StatusCode.UNIMPLEMENTED:
                    raise errors.FanoutdError(f"no fanoutd at {self._channels.address}: {failure}", failure.code) from None
                if not self._leaving:
                    self._log.warning("the stream of events from %s ended, and is opened again: %s", self._channels.address, failure)
            self._in_flight.clear()
            self._settled.set()
            if not self._leaving:
                self._channels.next(channel)
                await backoff.wait()

    async def _stream(self, channel: grpc.aio.Channel, backoff: Backoff) -> None:
        self._out = deque([v1.ConsumeRequest(open=self._opening)])
        self._more = asyncio.Event()
        ended = asyncio.Event()
        call = v1.EventServiceStub(channel).Consume(_requests(self._out, self._more, ended), metadata=self._channels.metadata)
        working = asyncio.create_task(self._work())
        drained: asyncio.Task[None] | None = None
        try:
            async for response in call:
                match response.WhichOneof("response"):
                    case "events":
                        for event in response.events.events:
                            self._in_flight[event.delivery_id] = event.kind != v1.Event.CONNECTING
                            self._settled.clear()
                            self._hear(event)
                    case "ready":
                        backoff.reset()
                        self._opening.consumer_id = response.ready.consumer_id
                        self._listener.on_ready(response.ready)
                        self.ready.set()
                    case "assigned":
                        self._listener.on_assigned(response.assigned.connections, response.assigned.too_large)
                    case "released":
                        self._listener.on_released(response.released.connection_ids)
                    case "changed":
                        self._listener.on_changed(response.changed.connections, response.changed.too_large)
                    case "cancelled":
                        for delivery_id in response.cancelled.delivery_ids:
                            self._settle(delivery_id)
                        self._listener.on_cancelled(response.cancelled.delivery_ids, response.cancelled.reason)
                    case "rejected":
                        rejected = response.rejected
                        why = errors.of_status(rejected.status)
                        if isinstance(why, errors.InvalidArgumentError):
                            self._last_resort(rejected)
                        self._listener.on_rejected(rejected.delivery_id, rejected.request, why)
                    case "draining":
                        if drained is None:
                            drained = asyncio.create_task(self._finish(ended))
        finally:
            self.ready.clear()
            ended.set()
            self._more.set()
            working.cancel()
            if drained is not None:
                drained.cancel()
            call.cancel()
            self._listener.on_lost()

    def _hear(self, event: v1.Event) -> None:
        """One event that cannot be taken is no end of the stream."""
        try:
            self._listener.on_event(event)
        except Exception:
            self._log.exception("an event of %s could not be taken", event.connection_id)
            if event.kind != v1.Event.CONNECTING:
                self.nack(event.delivery_id)

    def _last_resort(self, rejected: v1.ConsumeResponse.Rejected) -> None:
        """What cannot be taken has settled nothing: a client that waits to be let in is refused, an event is settled without a reply."""
        kinds = v1.ConsumeResponse.Rejected
        if rejected.request == kinds.VERDICT:
            refuse = v1.ConsumeRequest.Verdict.Refuse()
            self._send(v1.ConsumeRequest(verdict=v1.ConsumeRequest.Verdict(delivery_id=rejected.delivery_id, refuse=refuse)))
        elif rejected.request == kinds.REPLY:
            self._send(v1.ConsumeRequest(ack=v1.ConsumeRequest.Ack(delivery_ids=[rejected.delivery_id])))

    async def _finish(self, ended: asyncio.Event) -> None:
        """Nothing follows: once all is settled, and that is sent, the sending side closes."""
        await self._settled_all()
        ended.set()
        self._more.set()

    async def _settled_all(self) -> None:
        while self._in_flight:
            self._settled.clear()
            await self._settled.wait()

    async def _work(self) -> None:
        """Says of what takes long that it is being worked on, at half of ack_wait."""
        wait = self._opening.ack_wait.ToSeconds() if self._opening.HasField("ack_wait") else 30
        while True:
            await asyncio.sleep(wait / 2)
            ids = [i for i, works in self._in_flight.items() if works]
            if ids:
                self._send(v1.ConsumeRequest(working=v1.ConsumeRequest.Working(delivery_ids=ids)))


async def _requests(out: deque[v1.ConsumeRequest | str], more: asyncio.Event, ended: asyncio.Event) -> AsyncIterator[v1.ConsumeRequest]:
    """What is to be sent on one stream, until it ends and all is sent."""
    while True:
        while out:
            first = out.popleft()
            if not isinstance(first, str):
                yield first
                continue
            ids = [first]
            while out and isinstance(out[0], str):
                ids.append(out.popleft())  # type: ignore[arg-type]  # looked at above
            yield v1.ConsumeRequest(ack=v1.ConsumeRequest.Ack(delivery_ids=ids))
        if ended.is_set():
            return
        more.clear()
        await more.wait()
