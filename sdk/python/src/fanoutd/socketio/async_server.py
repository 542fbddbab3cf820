"""python-socketio's AsyncServer."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from .._channel import MAX_REQUEST_BYTES, Channels
from .._handlers import outcome
from ._base_server import BaseServer, room_name, skipped, targets
from ._engine import Engine

T = TypeVar("T")


class AsyncServer(BaseServer):
    """A Socket.IO server for asyncio whose clients are connected to fanoutd.

    The arguments are python-socketio's; those that are settings of the daemon warn. Besides:

    addresses: of the daemons' control APIs, "host:port", several with commas or as a list;
    default $FANOUTD_ADDRESS, or localhost:8081. key: the control key; default
    $FANOUTD_CONTROL_KEY. credentials: grpc.ChannelCredentials for TLS; default none, or the
    CA of $FANOUTD_CONTROL_CA_FILE. max_request_bytes: the daemons' control-max-request; what is
    larger is not sent, and fails alone; default 16 MiB, as there. group: names the application; all its processes have the
    same; default $FANOUTD_GROUP, or "socketio". ack_timeout: how long callbacks of emit are
    kept, in seconds. max_in_flight: handlers that run at once at most.

    It hears clients from start on, which ASGIApp and attach see to. Belongs to the event
    loop that it is started in.
    """

    def __init__(
        self,
        client_manager: Any = None,
        logger: bool | logging.Logger = False,
        json: Any = None,
        async_handlers: bool = True,
        namespaces: str | Sequence[str] | None = None,
        *,
        serializer: Any = "default",
        always_connect: bool = False,
        async_mode: str | None = None,
        addresses: str | Sequence[str] | None = None,
        group: str | None = None,
        key: str | None = None,
        credentials: Any = None,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        ack_timeout: float = 3600.0,
        max_in_flight: int = 1000,
        **options: Any,
    ) -> None:
        super().__init__(
            client_manager, logger, serializer, json, async_handlers, always_connect, namespaces,
            addresses, group, key, credentials, max_request_bytes, ack_timeout, max_in_flight, options,
        )
        if async_mode not in (None, "asgi", "aiohttp", "sanic", "tornado"):
            raise ValueError("Invalid async_mode specified")
        self.async_mode = async_mode or "asgi"
        self._background: set[asyncio.Future[Any]] = set()

    def is_asyncio_based(self) -> bool:
        return True

    def _running(self) -> Engine:
        """The engine of this loop, made on first use."""
        loop = asyncio.get_running_loop()
        if self._engine is None:
            self._engine = Engine(self, Channels(*self._connect_to), self._call_handler, self.logger)
        elif self._engine.loop is not loop:
            raise RuntimeError("this server belongs to another event loop: the one that it was started in, or first used")
        return self._engine

    async def _call_handler(self, handler: Callable[..., Any], *args: Any) -> Any:
        result = handler(*args)
        return await outcome(result) if inspect.isawaitable(result) else result

    async def start(self, patience: float = 10.0) -> None:
        """Begins to hear clients. Returns when the daemon has answered, or after patience
        seconds: then it goes on trying. Raises FanoutdError for what no further try can
        change: a key, a group or a namespace that the daemon does not accept."""
        await self._running().start(patience)

    async def shutdown(self, grace: float = 10.0) -> None:
        """Takes no more events, and ends when handlers have, or after the grace. Clients stay
        connected; what they do goes to the application's other processes, or waits."""
        if self._engine is not None:
            await self._running().stop(grace)
            self._engine = None

    def attach(self, app: Any, socketio_path: str = "socket.io") -> None:
        """Starts and ends with an aiohttp or Sanic application."""
        from ._attach import attach

        attach(self, app, socketio_path)

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: str | Sequence[str] | None = None,
        room: str | Sequence[str] | None = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Sends an event to a connection or a room, to several, or to everybody.

        data: what is sent; a tuple for several arguments. skip_sid: who is left out. callback
        is called with what the client acknowledges with. Returns when the daemon has it;
        what is emitted next comes after it. ignore_queue has no meaning here.
        """
        await self._running().actions.emit(event, data, namespace or "/", targets(to, room), skipped(skip_sid), callback)

    async def send(
        self,
        data: Any,
        to: str | Sequence[str] | None = None,
        room: str | Sequence[str] | None = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Emits the event "message"."""
        await self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    async def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Sends an event to one client, and returns what it acknowledges with: None, one
        value, or a tuple. exceptions.TimeoutError if that does not come in time; at once if
        the client is gone."""
        if to is None and sid is None:
            raise ValueError("Cannot use call() to broadcast.")
        if not self.async_handlers:
            raise RuntimeError("Cannot use call() when async_handlers is False.")
        return await self._running().actions.call(event, data, to or sid or "", namespace or "/", self.ack_timeout if timeout is None else timeout)

    async def enter_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Puts a connection into a room. ValueError if it is not connected."""
        await self._running().actions.enter_room(sid, room_name(room), namespace or "/")

    async def leave_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Takes a connection out of a room."""
        await self._running().actions.leave_room(sid, room_name(room), namespace or "/")

    async def close_room(self, room: str, namespace: str | None = None) -> None:
        """Takes everybody out of a room, wherever they are connected."""
        await self._running().actions.close_room(room_name(room), namespace or "/")

    async def get_rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """The rooms of any connection, also of one that another process owns."""
        return await self._running().actions.ask_rooms(sid, namespace or "/")

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """The session of a client, which is the data that fanoutd keeps with its connection.
        KeyError if it is gone."""
        return await self._running().actions.get_session(sid, namespace or "/")

    async def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Keeps the session of a client, for as long as it is connected and for every process
        that hears it. TypeError for what JSON does not hold; at most 64 KiB."""
        await self._running().actions.save_session(sid, session, namespace or "/")

    def session(self, sid: str, namespace: str | None = None) -> Session:
        """The session of a client as a context manager, which saves it at its end."""
        return Session(self, sid, namespace)

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Ends a connection. Its disconnect handler is called when that is done."""
        await self._running().actions.disconnect(sid, namespace or "/")

    async def handle_request(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("clients connect to fanoutd, and no request of theirs is for this server: see ASGIApp")

    def start_background_task(self, target: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> asyncio.Task[T]:
        """Runs a coroutine function as a task."""
        task = asyncio.ensure_future(target(*args, **kwargs))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def sleep(self, seconds: float = 0) -> None:
        await asyncio.sleep(seconds)


class Session:
    """What AsyncServer.session returns."""

    def __init__(self, server: AsyncServer, sid: str, namespace: str | None) -> None:
        self._server, self._sid, self._namespace = server, sid, namespace
        self._session: dict[str, Any] = {}

    async def __aenter__(self) -> dict[str, Any]:
        self._session = await self._server.get_session(self._sid, self._namespace)
        return self._session

    async def __aexit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        await self._server.save_session(self._sid, self._session, self._namespace)


