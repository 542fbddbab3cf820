"""A server that starts and ends with an application of another kind than ASGI."""

from __future__ import annotations

from typing import Any

from . import _proxy


def attach(server: Any, app: Any, socketio_path: str) -> None:
    kind = type(app).__module__.split(".")[0]
    if kind == "aiohttp":
        _aiohttp(server, app, socketio_path)
    elif kind == "sanic":
        _sanic(server, app)
    else:
        raise ValueError("attach is for applications of aiohttp and Sanic: for ASGI there is ASGIApp, for others await server.start()")


def _aiohttp(server: Any, app: Any, socketio_path: str) -> None:
    from aiohttp import web  # type: ignore[import-not-found,unused-ignore]

    async def start(_: Any) -> None:
        await server.start()

    async def stop(_: Any) -> None:
        await server.shutdown()

    async def why(_: Any) -> Any:
        return web.Response(status=404, body=_proxy.WHY, content_type="text/plain")

    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    app.router.add_route("*", _proxy.endpoint(socketio_path) + "{rest:.*}", why)


def _sanic(server: Any, app: Any) -> None:
    async def start(*_: Any) -> None:
        await server.start()

    async def stop(*_: Any) -> None:
        await server.shutdown()

    app.register_listener(start, "after_server_start")
    app.register_listener(stop, "before_server_stop")
