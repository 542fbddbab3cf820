"""Class-based namespaces of AsyncServer."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from .base_namespace import BaseServerNamespace


class AsyncNamespace(BaseServerNamespace):
    """Handlers of a namespace as methods: on_connect, on_disconnect, and on_ with the name
    of an event for each other, regular functions or coroutines. Its other methods are those
    of the server, with this namespace as the default."""

    def is_asyncio_based(self) -> bool:
        return True

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Calls the handler of an event, if there is one. Override it to dispatch otherwise."""
        handler = getattr(self, "on_" + (event or ""), None)
        if handler is None:
            return None
        try:
            return await _call(handler, args)
        except TypeError:
            if event != "disconnect":
                raise
            return await _call(handler, args[:-1])  # it wants no reason

    async def emit(self, event: str, data: Any = None, to: Any = None, room: Any = None, skip_sid: Any = None,
                   namespace: str | None = None, callback: Any = None, ignore_queue: bool = False) -> Any:
        return await self.server.emit(event, data=data, to=to, room=room, skip_sid=skip_sid,
                                      namespace=namespace or self.namespace, callback=callback, ignore_queue=ignore_queue)

    async def send(self, data: Any, to: Any = None, room: Any = None, skip_sid: Any = None,
                   namespace: str | None = None, callback: Any = None, ignore_queue: bool = False) -> Any:
        return await self.server.send(data, to=to, room=room, skip_sid=skip_sid,
                                      namespace=namespace or self.namespace, callback=callback, ignore_queue=ignore_queue)

    async def call(self, event: str, data: Any = None, to: str | None = None, sid: str | None = None,
                   namespace: str | None = None, timeout: float | None = None, ignore_queue: bool = False) -> Any:
        return await self.server.call(event, data=data, to=to, sid=sid,
                                      namespace=namespace or self.namespace, timeout=timeout, ignore_queue=ignore_queue)

    async def enter_room(self, sid: str, room: str, namespace: str | None = None) -> Any:
        return await self.server.enter_room(sid, room, namespace=namespace or self.namespace)

    async def leave_room(self, sid: str, room: str, namespace: str | None = None) -> Any:
        return await self.server.leave_room(sid, room, namespace=namespace or self.namespace)

    async def close_room(self, room: str, namespace: str | None = None) -> Any:
        return await self.server.close_room(room, namespace=namespace or self.namespace)

    async def get_session(self, sid: str, namespace: str | None = None) -> Any:
        return await self.server.get_session(sid, namespace=namespace or self.namespace)

    async def save_session(self, sid: str, session: Any, namespace: str | None = None) -> Any:
        return await self.server.save_session(sid, session, namespace=namespace or self.namespace)

    def session(self, sid: str, namespace: str | None = None) -> Any:
        return self.server.session(sid, namespace=namespace or self.namespace)

    async def disconnect(self, sid: str, namespace: str | None = None) -> Any:
        return await self.server.disconnect(sid, namespace=namespace or self.namespace)


async def _call(handler: Any, args: tuple[Any, ...]) -> Any:
    if not inspect.iscoroutinefunction(handler):
        return handler(*args)
    try:
        return await handler(*args)
    except asyncio.CancelledError:
        return None
