"""The WSGI environment of a handshake, as fanoutd tells of it."""

from __future__ import annotations

import io
import sys
import urllib.parse
from typing import Any

from .. import v1

MISSING = {
    "HTTP_COOKIE": "cookies are shown where fanoutd is started with --expose-cookies and their names",
    "aiohttp.request": "the handshake was a request to fanoutd, and none to this program: see what environ has of it",
    "sanic.request": "the handshake was a request to fanoutd, and none to this program: see what environ has of it",
    "tornado.handler": "the handshake was a request to fanoutd, and none to this program: see what environ has of it",
    "asgi.receive": "the handshake was a request to fanoutd, and none to this program: asgi.scope tells of it",
    "asgi.send": "the handshake was a request to fanoutd, and none to this program: asgi.scope tells of it",
}


class Environ(dict[str, Any]):
    """A WSGI environment that says why it lacks what it cannot have."""

    def __missing__(self, name: str) -> Any:
        why = MISSING.get(name)
        if why is None and name.startswith("HTTP_"):
            why = "the client did not send this header, or fanoutd does not show it: its setting --expose-headers"
        raise KeyError(f"{name}: {why}" if why else name)


def environ_of(connection: v1.Connection, asyncio_based: bool) -> Environ:
    """What python-socketio hands to connect handlers, made of what fanoutd knows."""
    shake = connection.handshake
    headers = dict(shake.headers)
    path, _, query = shake.url.partition("?")
    query = query or urllib.parse.urlencode(dict(shake.query))
    host, _, port = shake.address.rpartition(":")
    host = host.strip("[]") or shake.address
    scheme = "https" if shake.secure else "http"
    name, _, server_port = headers.get("host", "").partition(":")
    environ = Environ({
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": scheme,
        "wsgi.multithread": not asyncio_based,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.async": asyncio_based,
        "SERVER_SOFTWARE": "fanoutd",
        "SERVER_NAME": name or connection.node or "fanoutd",
        "SERVER_PORT": server_port or ("443" if shake.secure else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": urllib.parse.unquote(path) or "/socket.io/",
        "QUERY_STRING": query,
        "RAW_URI": shake.url or path,
        "REMOTE_ADDR": host,
        "REMOTE_PORT": port,
        "fanoutd.connection": connection,
    })
    for header, value in headers.items():
        key = header.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key] = value
    if asyncio_based:
        environ["asgi.scope"] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": scheme,
            "path": environ["PATH_INFO"],
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(h.lower().encode("latin-1"), v.encode("latin-1", "replace")) for h, v in headers.items()],
            "client": (host, int(port)) if port.isdigit() else None,
            "server": None,
        }
    return environ
