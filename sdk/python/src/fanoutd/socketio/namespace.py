"""Class-based namespaces of Server."""

from __future__ import annotations

from typing import Any

from .base_namespace import BaseServerNamespace


class Namespace(BaseServerNamespace):
    """Handlers of a namespace as methods: on_connect, on_disconnect, and on_ with the name
    of an event for each other. Its other methods are those of the server, with this
    namespace as the default."""

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Calls the handler of an event, if there is one. Override it to dispatch otherwise."""
        handler = getattr(self, "on_" + (event or ""), None)
        if handler is None:
            return None
        try:
            return handler(*args)
        except TypeError:
            if event != "disconnect":
                raise
            return handler(*args[:-1])  # it wants no reason

    def emit(self, event: str, data: Any = None, to: Any = None, room: Any = None, skip_sid: Any = None,
             namespace: str | None = None, callback: Any = None, ignore_queue: bool = False) -> Any:
        return self.server.emit(event, data=data, to=to, room=room, skip_sid=skip_sid,
                                namespace=namespace or self.namespace, callback=callback, ignore_queue=ignore_queue)

    def send(self, data: Any, to: Any = None, room: Any = None, skip_sid: Any = None,
             namespace: str | None = None, callback: Any = None, ignore_queue: bool = False) -> Any:
        return self.server.send(data, to=to, room=room, skip_sid=skip_sid,
                                namespace=namespace or self.namespace, callback=callback, ignore_queue=ignore_queue)

    def call(self, event: str, data: Any = None, to: str | None = None, sid: str | None = None,
             namespace: str | None = None, timeout: float | None = None, ignore_queue: bool = False) -> Any:
        return self.server.call(event, data=data, to=to, sid=sid,
                                namespace=namespace or self.namespace, timeout=timeout, ignore_queue=ignore_queue)

    def enter_room(self, sid: str, room: str, namespace: str | None = None) -> Any:
        return self.server.enter_room(sid, room, namespace=namespace or self.namespace)

    def leave_room(self, sid: str, room: str, namespace: str | None = None) -> Any:
        return self.server.leave_room(sid, room, namespace=namespace or self.namespace)

    def close_room(self, room: str, namespace: str | None = None) -> Any:
        return self.server.close_room(room, namespace=namespace or self.namespace)

    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        return self.server.get_session(sid, namespace=namespace or self.namespace)

    def save_session(self, sid: str, session: Any, namespace: str | None = None) -> Any:
        return self.server.save_session(sid, session, namespace=namespace or self.namespace)

    def session(self, sid: str, namespace: str | None = None) -> Any:
        return self.server.session(sid, namespace=namespace or self.namespace)

    def disconnect(self, sid: str, namespace: str | None = None) -> Any:
        return self.server.disconnect(sid, namespace=namespace or self.namespace)
