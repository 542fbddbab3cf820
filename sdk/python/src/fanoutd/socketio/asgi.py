"""python-socketio's ASGIApp."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from . import _proxy, _static
from .async_server import AsyncServer


class ASGIApp:
    """Starts and ends a server with an ASGI application, and serves what is not Socket.IO's.

    other_asgi_app gets all other requests; static_files names files by path. on_startup and
    on_shutdown, functions or coroutine functions, are called as the program starts and ends.
    Requests of Socket.IO clients belong to the daemon, and are answered with a word on that;
    in development proxy=True hands them to one at $FANOUTD_URL or http://localhost:8080, and
    proxy="http://…" to one there: by polling only.
    """

    def __init__(
        self,
        socketio_server: AsyncServer,
        other_asgi_app: Any = None,
        static_files: Mapping[str, Any] | None = None,
        socketio_path: str | None = "socket.io",
        on_startup: Callable[[], Any] | None = None,
        on_shutdown: Callable[[], Any] | None = None,
        *,
        proxy: bool | str | None = None,
    ) -> None:
        self.server = socketio_server
        self.other_asgi_app = other_asgi_app
        self.static_files = static_files or {}
        self.path = _proxy.endpoint(socketio_path) if socketio_path is not None else None
        self.on_startup = on_startup
        self.on_shutdown = on_shutdown
        self._daemon = _proxy.daemon_of(proxy)
        self._starting: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if self._starting is None:  # a server without lifespan events
            self._starting = asyncio.ensure_future(self.server.start())
        if self.path is None or (scope["path"] + "/").startswith(self.path):
            await self._socketio(scope, receive, send)
            return
        file = _static.find(scope["path"], self.static_files) if scope["type"] == "http" else None
        if file is not None:
            await receive()
            with open(file.filename, "rb") as content:
                await _proxy.answer(send, 200, content.read(), file.content_type.encode())
        elif self.other_asgi_app is not None:
            await self.other_asgi_app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await _proxy.answer(send, 404, b"Not Found")

    async def _socketio(self, scope: Any, receive: Any, send: Any) -> None:
        if self._daemon is not None:
            await _proxy.asgi(self._daemon, scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": "connect to fanoutd"})
        else:
            _proxy.log.warning("a Socket.IO client came to this program in place of fanoutd")
            await _proxy.answer(send, 404, _proxy.WHY)

    async def _lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        if self.other_asgi_app is not None and self.on_startup is None and self.on_shutdown is None:
            await self._lifespan_of_both(scope, receive, send)
            return
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                try:
                    await self._start()
                    await _call(self.on_startup)
                except Exception as err:
                    await send({"type": "lifespan.startup.failed", "message": str(err)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            elif event["type"] == "lifespan.shutdown":
                try:
                    await _call(self.on_shutdown)
                finally:
                    await self.server.shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _lifespan_of_both(self, scope: Any, receive: Any, send: Any) -> None:
        """The other application starts first and ends first: its events are for it to answer."""

        async def send_after(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                try:
                    await self._start()
                except Exception as err:
                    await send({"type": "lifespan.startup.failed", "message": str(err)})
                    raise
            elif message["type"].startswith("lifespan.shutdown."):
                await self.server.shutdown()
            await send(message)

        await self.other_asgi_app(scope, receive, send_after)

    async def _start(self) -> None:
        if self._starting is None:
            self._starting = asyncio.ensure_future(self.server.start())
        await self._starting


async def _call(function: Callable[[], Any] | None) -> None:
    if function is not None:
        result = function()
        if inspect.isawaitable(result):
            await result
