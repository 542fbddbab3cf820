"""What both servers have in common: handlers, and what is known of connections."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from .. import _payload
from ._connections import Connection
from ._engine import Engine
from ._environ import environ_of
from ._settings import check
from .base_namespace import BaseServerNamespace

H = TypeVar("H", bound=Callable[..., Any])

default_logger = logging.getLogger("fanoutd.socketio")


class Reason:
    """Why a connection ended, as disconnect handlers are told."""

    SERVER_DISCONNECT = "server disconnect"
    CLIENT_DISCONNECT = "client disconnect"
    PING_TIMEOUT = "ping timeout"
    TRANSPORT_CLOSE = "transport close"
    TRANSPORT_ERROR = "transport error"


class Manager:
    """What programs ask a client manager, about the connections that this process owns."""

    def __init__(self, server: BaseServer) -> None:
        self._server = server

    def is_connected(self, sid: str, namespace: str) -> bool:
        connection = self._server._known(sid, namespace)
        return connection is not None and connection.state.name == "CONNECTED"

    def get_namespaces(self) -> list[str]:
        engine = self._server._engine
        return engine.connections.namespaces() if engine is not None else []

    def get_participants(self, namespace: str, room: Any) -> list[tuple[str, str]]:
        """Pairs of a connection's id and its session's name, for each member of a room, of
        several, or for None everybody."""
        engine = self._server._engine
        if engine is None:
            return []
        rooms = {room} if isinstance(room, str) else None if room is None else set(room)
        members = [c for c in engine.connections.of(namespace) if rooms is None or c.rooms & rooms]
        return [(c.raw.id, c.raw.session) for c in members]

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        return self._server.rooms(sid, namespace)


class BaseServer:
    reserved_events = ["connect", "disconnect"]
    reason = Reason

    def __init__(
        self,
        client_manager: Any,
        logger: bool | logging.Logger,
        serializer: Any,
        json: Any,
        async_handlers: bool,
        always_connect: bool,
        namespaces: str | Sequence[str] | None,
        addresses: str | Sequence[str] | None,
        group: str | None,
        key: str | None,
        credentials: Any,
        max_request_bytes: int,
        ack_timeout: float,
        max_in_flight: int,
        options: dict[str, Any],
    ) -> None:
        check(options, serializer, client_manager)
        self.handlers: dict[str, dict[str, Callable[..., Any]]] = {}
        self.namespace_handlers: dict[str, BaseServerNamespace] = {}
        self.async_handlers = async_handlers
        self.always_connect = always_connect
        self.namespaces: str | list[str] = "*" if namespaces == "*" else [namespaces] if isinstance(namespaces, str) else list(namespaces or ["/"])
        self.json: _payload.Json = json if json is not None else _payload.standard
        self.group = group or os.environ.get("FANOUTD_GROUP", "socketio")
        self.ack_timeout = ack_timeout
        self.max_in_flight = max_in_flight
        self.manager = Manager(self)
        self.logger: logging.Logger = default_logger if isinstance(logger, bool) else logger
        if logger is True and self.logger.level == logging.NOTSET:
            self.logger.setLevel(logging.INFO)
            self.logger.addHandler(logging.StreamHandler())
        self._connect_to = (addresses, key, credentials, max_request_bytes)
        self._engine: Engine | None = None

    def is_asyncio_based(self) -> bool:
        return False

    @overload
    def on(self, event: str, handler: None = None, namespace: str | None = None) -> Callable[[H], H]: ...
    @overload
    def on(self, event: str, handler: Callable[..., Any], namespace: str | None = None) -> None: ...
    def on(self, event: str, handler: Callable[..., Any] | None = None, namespace: str | None = None) -> Any:
        """Registers the handler of an event: as a decorator, or of the handler that is given.

        connect is called with (sid, environ, auth) or (sid, environ), and refuses by returning
        False or raising ConnectionRefusedError; disconnect with (sid, reason) or (sid); any
        other event with (sid, its arguments). What it returns is the client's
        acknowledgement, a tuple for several arguments. The event "*" is every other one, and
        the namespace "*" any other: their handlers get the event's name, and the namespace's,
        before the rest.
        """

        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            self.handlers.setdefault(namespace or "/", {})[event] = handler
            self._registered()
            return handler

        if handler is None:
            return register
        register(handler)
        return None

    @overload
    def event(self, handler: H, /) -> H: ...
    @overload
    def event(self, *, namespace: str | None = None) -> Callable[[H], H]: ...
    @overload
    def event(self, handler: None, namespace: str | None = None) -> Callable[[H], H]: ...
    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Registers a handler for the event of its own name: as a decorator, with a namespace
        or without."""
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__)(args[0])
        return lambda handler: self.on(handler.__name__, *args, **kwargs)(handler)

    def register_namespace(self, namespace_handler: BaseServerNamespace) -> None:
        """Registers an instance of a class-based namespace."""
        if not isinstance(namespace_handler, BaseServerNamespace):
            raise ValueError("Not a namespace instance")
        if self.is_asyncio_based() != namespace_handler.is_asyncio_based():
            raise ValueError("Not a valid namespace class for this server")
        namespace_handler._set_server(self)
        self.namespace_handlers[namespace_handler.namespace] = namespace_handler
        self._registered()

    def _registered(self) -> None:
        """A handler has come."""
        engine = self._engine
        if engine is not None:
            engine.loop.call_soon_threadsafe(engine.namespaces_changed)

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """The rooms of a connection that this process owns, its own id among them."""
        connection = self._known(sid, namespace)
        if connection is None:
            raise KeyError(f"{sid} belongs to another process, or is gone: await get_rooms(sid) asks fanoutd")
        return sorted(connection.rooms)

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """The transport of a connection that this process owns, when it last heard of that:
        a client that upgrades does so soon after it has connected."""
        connection = self._known(sid, namespace)
        if connection is None:
            raise KeyError(f"{sid} belongs to another process, or is gone")
        return connection.raw.transport

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        """The WSGI environment of the handshake of a connection that this process owns, as
        far as fanoutd shows it; None of any other."""
        connection = self._known(sid, namespace)
        return environ_of(connection.raw, self.is_asyncio_based()) if connection is not None else None

    def instrument(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "Socket.IO's Admin UI does not know fanoutd: leave instrument() out. "
            "Its metrics, and fanout.v1.RegistryService and AdminService, show and do the same."
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("eio", "environ"):
            raise AttributeError(f"there is no {name} here: Engine.IO is fanoutd's; see get_environ, transport and disconnect")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _known(self, sid: str, namespace: str | None) -> Connection | None:
        return self._engine.connections.get(namespace or "/", sid) if self._engine is not None else None

    def consumed_namespaces(self) -> list[str]:
        """The namespaces whose events are for this server; empty: all."""
        named = {*self.handlers, *self.namespace_handlers}
        if self.namespaces == "*" or "*" in named:
            return []
        return sorted(named.union(self.namespaces))

    def find_handler(self, event: str, namespace: str, args: tuple[Any, ...]) -> tuple[Callable[..., Any] | None, tuple[Any, ...]]:
        """The handler of an event, and what it is called with: the namespace's own before
        its "*", those before the namespace "*", and functions before classes."""
        named = event in self.reserved_events
        for its_namespace, before in ((namespace, ()), ("*", (namespace,))):
            handlers = self.handlers.get(its_namespace, {})
            if event in handlers:
                return handlers[event], (*before, *args)
            if "*" in handlers and not named:
                return handlers["*"], (event, *before, *args)
        for its_namespace, before in ((namespace, ()), ("*", (namespace,))):
            handler = self.namespace_handlers.get(its_namespace)
            if handler is not None:
                return handler.trigger_event, (event, *before, *args)  # type: ignore[attr-defined]
        return None, args


def targets(to: Any, room: Any) -> list[str] | None:
    """The rooms that an emit is for; None: everybody."""
    to = to or room
    if not to:
        return None
    rooms = [to] if isinstance(to, str) or not hasattr(to, "__iter__") else list(to)
    return [room_name(r) for r in rooms]


def skipped(skip_sid: Any) -> list[str]:
    if not skip_sid:
        return []
    return [skip_sid] if isinstance(skip_sid, str) else [s for s in skip_sid if s]


def room_name(room: Any) -> str:
    if not isinstance(room, str) or not room:
        raise TypeError(f"a room's name is a string with at least one character here, for programs in other languages too: {room!r}")
    return room
