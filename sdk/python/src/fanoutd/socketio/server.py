"""python-socketio's Server, for programs with threads."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from .._channel import MAX_REQUEST_BYTES, Channels
from ._base_server import BaseServer, room_name, skipped, targets
from ._engine import Engine

T = TypeVar("T")

QUIET = 1.0  # seconds without a new handler until a server that WSGIApp has begins by itself

servers: weakref.WeakSet[Server] = weakref.WeakSet()


class Server(BaseServer):
    """A Socket.IO server for programs with threads, whose clients are connected to fanoutd.

    The arguments are AsyncServer's. Each event is handled in a thread of its own, or, with
    async_handlers=False, those of one client one after the other. Every method may be called
    from any thread. Below it is one thread with an event loop, from start on, or from the
    first thing that it is asked to do. WSGIApp starts it; a program without that calls start.
    """

    def __init__(
        self,
        client_manager: Any = None,
        logger: bool | logging.Logger = False,
        serializer: Any = "default",
        json: Any = None,
        async_handlers: bool = True,
        always_connect: bool = False,
        namespaces: str | Sequence[str] | None = None,
        *,
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
        if async_mode not in (None, "threading"):
            raise ValueError(
                f"async_mode {async_mode!r}: clients are connected to fanoutd, and handlers run in threads: leave it out, "
                "and monkey patching too. Any WSGI server will do, with as many processes as it likes."
            )
        self.async_mode = "threading"
        self._lock = threading.Lock()  # guards what follows
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._armed: float | None = None  # when it begins by itself, by time.monotonic
        self._arms = False  # it begins by itself, here or in children of this process
        self._began = False
        servers.add(self)

    # Beginning and end.

    def start(self, patience: float = 10.0) -> None:
        """Begins to hear clients. Returns when the daemon has answered, or after patience
        seconds: then it goes on trying. Raises FanoutdError for what no further try can
        change: a key, a group or a namespace that the daemon does not accept."""
        self._began = True
        self._do(lambda engine: engine.start(patience))

    def shutdown(self, grace: float = 10.0) -> None:
        """Takes no more events, and ends when handlers have, or after the grace. Clients stay
        connected; what they do goes to the application's other processes, or waits."""
        with self._lock:
            loop, thread, engine = self._loop, self._thread, self._engine
            self._loop = self._thread = self._engine = None
            self._armed = None
        if loop is None or thread is None or engine is None:
            return
        asyncio.run_coroutine_threadsafe(engine.stop(grace), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def arm(self) -> None:
        """Begins by itself once no handler has come for a second, and no import is under way:
        programs make a WSGIApp first and register handlers after that."""
        with self._lock:
            self._arms = True
            waits = self._armed is not None
            self._armed = time.monotonic() + QUIET
        if not waits:
            threading.Thread(target=self._begin_when_quiet, name="fanoutd starts", daemon=True).start()

    def begin(self) -> None:
        """Begins, unless it has: with the first request to a WSGIApp."""
        if not self._began:
            self._began = True
            threading.Thread(target=self._begin, name="fanoutd starts", daemon=True).start()

    def _registered(self) -> None:
        with self._lock:
            if self._armed is not None:
                self._armed = time.monotonic() + QUIET
        super()._registered()

    def _begin_when_quiet(self) -> None:
        while not self._began:
            with self._lock:
                if self._armed is None:
                    return
                left = self._armed - time.monotonic()
            if left <= 0 and not _importing():
                if not _only_reloads():
                    self.begin()
                return
            time.sleep(max(left, 0.05))

    def _begin(self) -> None:
        try:
            self.start()
        except Exception as err:
            self.logger.error("this server hears nobody: %s", err)

    def _forked(self) -> None:
        """In a child of the process: what was not begun yet begins here, by itself."""
        self._lock = threading.Lock()
        if self._arms and not self._began:
            self._process = os.getpid()
            self._armed = None
            self.arm()

    def _do(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Has the engine do something, and waits for it."""
        engine = self._engine or self._make_engine()
        if threading.current_thread() is self._thread:
            raise RuntimeError("this is the thread of the event loop: call from another one")
        if self._process != os.getpid():
            raise RuntimeError("this process was forked from one where the server had begun: make the server, or start it, after the fork")
        return asyncio.run_coroutine_threadsafe(work(engine), engine.loop).result()

    def _make_engine(self) -> Engine:
        with self._lock:
            if self._engine is not None:
                return self._engine
            patched = [m for m in ("eventlet", "gevent") if _patches_threads(m)]
            if patched:
                raise RuntimeError(f"{patched[0]} has replaced Python's threads, which gRPC's cannot live with: leave monkey patching out")
            self._process = os.getpid()
            loop = asyncio.new_event_loop()
            self._loop = loop
            self._thread = threading.Thread(target=self._run, args=(loop,), name="fanoutd", daemon=True)
            self._thread.start()

            async def make() -> Engine:
                return Engine(self, Channels(*self._connect_to), self._call_handler, self.logger)

            self._engine = asyncio.run_coroutine_threadsafe(make(), loop).result()
            return self._engine

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    async def _call_handler(self, handler: Callable[..., Any], *args: Any) -> Any:
        """Runs a handler in a thread of its own."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def finish(result: Any, err: BaseException | None) -> None:
            if done.done():
                return
            if err is None:
                done.set_result(result)
            else:
                done.set_exception(err if isinstance(err, Exception) else RuntimeError(repr(err)))

        def run() -> None:
            result, err = None, None
            try:
                result = handler(*args)
            except BaseException as caught:
                err = caught
            try:
                loop.call_soon_threadsafe(finish, result, err)
            except RuntimeError:
                pass  # the loop has ended, and nobody waits

        threading.Thread(target=run, name="fanoutd handler", daemon=True).start()
        return await done

    # What programs do.

    def emit(
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
        is called, in a thread, with what the client acknowledges with. Returns when the daemon
        has it; what is emitted next comes after it. ignore_queue has no meaning here.
        """
        rooms, skip = targets(to, room), skipped(skip_sid)
        self._do(lambda engine: engine.actions.emit(event, data, namespace or "/", rooms, skip, callback))

    def send(
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
        self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    def call(
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
        patience = self.ack_timeout if timeout is None else timeout
        return self._do(lambda engine: engine.actions.call(event, data, to or sid or "", namespace or "/", patience))

    def enter_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Puts a connection into a room. ValueError if it is not connected."""
        name = room_name(room)
        self._do(lambda engine: engine.actions.enter_room(sid, name, namespace or "/"))

    def leave_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Takes a connection out of a room."""
        name = room_name(room)
        self._do(lambda engine: engine.actions.leave_room(sid, name, namespace or "/"))

    def close_room(self, room: str, namespace: str | None = None) -> None:
        """Takes everybody out of a room, wherever they are connected."""
        name = room_name(room)
        self._do(lambda engine: engine.actions.close_room(name, namespace or "/"))

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """The rooms of a connection, its own id among them; none of one that is gone."""
        if self._known(sid, namespace) is not None:
            return super().rooms(sid, namespace)
        return self._do(lambda engine: engine.actions.ask_rooms(sid, namespace or "/"))

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """The session of a client, which is the data that fanoutd keeps with its connection.
        KeyError if it is gone."""
        return self._do(lambda engine: engine.actions.get_session(sid, namespace or "/"))

    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Keeps the session of a client, for as long as it is connected and for every process
        that hears it. TypeError for what JSON does not hold; at most 64 KiB."""
        self._do(lambda engine: engine.actions.save_session(sid, session, namespace or "/"))

    def session(self, sid: str, namespace: str | None = None) -> Session:
        """The session of a client as a context manager, which saves it at its end."""
        return Session(self, sid, namespace)

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Ends a connection. Its disconnect handler is called when that is done."""
        self._do(lambda engine: engine.actions.disconnect(sid, namespace or "/"))

    def handle_request(self, environ: Any, start_response: Any) -> Any:
        raise NotImplementedError("clients connect to fanoutd, and no request of theirs is for this server: see WSGIApp")

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> threading.Thread:
        """Runs a function in a thread, which does not keep the process from ending."""
        thread = threading.Thread(target=target, args=args, kwargs=kwargs, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float = 0) -> None:
        time.sleep(seconds)


class Session:
    """What Server.session returns."""

    def __init__(self, server: Server, sid: str, namespace: str | None) -> None:
        self._server, self._sid, self._namespace = server, sid, namespace
        self._session: dict[str, Any] = {}

    def __enter__(self) -> dict[str, Any]:
        self._session = self._server.get_session(self._sid, self._namespace)
        return self._session

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        self._server.save_session(self._sid, self._session, self._namespace)


def _importing() -> bool:
    """Whether a module is being imported, the program's own perhaps."""
    return any(getattr(getattr(m, "__spec__", None), "_initializing", False) for m in list(sys.modules.values()))


def _only_reloads() -> bool:
    """Whether this is the process of Werkzeug's reloader, which runs the program in a child."""
    return "werkzeug._reloader" in sys.modules and os.environ.get("WERKZEUG_RUN_MAIN") != "true"


def _patches_threads(module: str) -> bool:
    if module not in sys.modules:
        return False
    if module == "eventlet":
        from eventlet import patcher  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return bool(patcher.is_monkey_patched("thread"))
    from gevent import monkey  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return bool(monkey.is_module_patched("threading"))


def _after_fork_in_child() -> None:
    for server in list(servers):
        server._forked()


def _after_fork_in_parent() -> None:
    """A process that forks before its servers have begun leaves that to its children."""
    for server in list(servers):
        with server._lock:
            if not server._began:
                server._armed = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child, after_in_parent=_after_fork_in_parent)
