"""python-socketio's WSGIApp."""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Mapping
from typing import Any

from . import _proxy, _static
from .server import Server


class WSGIApp:
    """Starts a server with a WSGI application, and serves what is not Socket.IO's.

    wsgi_app gets all other requests; static_files names files by path. The server begins
    with the first request, or a second after its last handler was registered, whichever is
    first; Server.start begins at once. It ends with the process. Requests of Socket.IO
    clients belong to the daemon, and are answered with a word on that; in development
    proxy=True hands them to one at $FANOUTD_URL or http://localhost:8080, and
    proxy="http://…" to one there: by polling only.
    """

    def __init__(
        self,
        socketio_app: Server,
        wsgi_app: Any = None,
        static_files: Mapping[str, Any] | None = None,
        socketio_path: str = "socket.io",
        *,
        proxy: bool | str | None = None,
    ) -> None:
        self.server = socketio_app
        self.wsgi_app = wsgi_app
        self.static_files = static_files or {}
        self.path = _proxy.endpoint(socketio_path)
        self._daemon = _proxy.daemon_of(proxy)
        atexit.register(self.server.shutdown)
        self.server.arm()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.server.begin()
        path = environ.get("PATH_INFO") or "/"
        if (path + "/").startswith(self.path):
            if self._daemon is not None:
                return _proxy.wsgi(self._daemon, environ, start_response)
            _proxy.log.warning("a Socket.IO client came to this program in place of fanoutd")
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [_proxy.WHY]
        file = _static.find(path, self.static_files)
        if file is not None:
            with open(file.filename, "rb") as content:
                body = content.read()
            start_response("200 OK", [("Content-Type", file.content_type), ("Content-Length", str(len(body)))])
            return [body]
        if self.wsgi_app is not None:
            return self.wsgi_app(environ, start_response)  # type: ignore[no-any-return]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not Found"]


class Middleware(WSGIApp):
    """WSGIApp under its old name."""

    def __init__(self, socketio_app: Server, wsgi_app: Any = None, socketio_path: str = "socket.io") -> None:
        super().__init__(socketio_app, wsgi_app, socketio_path=socketio_path)
