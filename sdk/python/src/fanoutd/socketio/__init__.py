"""python-socketio's servers, with browsers that are connected to fanoutd: they stay when
this process goes, and any number of processes share them.

    from fanoutd import socketio

in place of import socketio is all that a program changes.
"""

from __future__ import annotations

from typing import Any

from . import exceptions as exceptions
from ._settings import MANAGER, SettingWarning as SettingWarning
from .asgi import ASGIApp as ASGIApp
from .async_namespace import AsyncNamespace as AsyncNamespace
from .async_server import AsyncServer as AsyncServer
from .middleware import Middleware as Middleware, WSGIApp as WSGIApp
from .namespace import Namespace as Namespace
from .server import Server as Server

__all__ = ["ASGIApp", "AsyncNamespace", "AsyncServer", "Middleware", "Namespace", "Server", "WSGIApp", "exceptions"]

_clients = {"Client", "SimpleClient", "AsyncClient", "AsyncSimpleClient", "ClientNamespace", "AsyncClientNamespace"}


def __getattr__(name: str) -> Any:
    if name in _clients:
        raise AttributeError(f"{name} is a client: python-socketio's works with fanoutd, from socketio import {name}")
    if name.endswith("Manager"):
        raise AttributeError(f"{name}: {MANAGER}")
    if name == "get_tornado_handler":
        raise AttributeError(f"{name}: Tornado has no part in fanoutd's requests: await server.start() in its loop")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
