"""Requests of Socket.IO clients that reach the program in place of the daemon."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

log = logging.getLogger("fanoutd.socketio")

WHY = (
    b"Socket.IO clients of this program connect to fanoutd. Have the proxy in front of both send this path to it, "
    b'or, in development, give the wrapper proxy=True, or the address: proxy="http://localhost:8080".\n'
)

# Headers that are of one hop.
HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}


def daemon_of(proxy: bool | str | None) -> tuple[str, int] | None:
    """Where a daemon listens for browsers; None: requests are not handed to it."""
    if not proxy:
        return None
    url = proxy if isinstance(proxy, str) else os.environ.get("FANOUTD_URL", "http://localhost:8080")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"proxy is for development, and hands requests to an http address such as http://localhost:8080: {url}")
    return parts.hostname, parts.port or 80


def wsgi(daemon: tuple[str, int], environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Hands one request to the daemon, and its answer back. A WebSocket cannot be: the client
    stays with polling."""
    path = urllib.parse.quote(environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"])
    if environ.get("QUERY_STRING"):
        path += "?" + environ["QUERY_STRING"]
    headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    if "upgrade" in headers.get("CONNECTION", "").lower():
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"no WebSocket by way of WSGI: connect to fanoutd itself\n"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ.get("CONTENT_TYPE"):
        headers["CONTENT-TYPE"] = environ["CONTENT_TYPE"]
    headers = {name: value for name, value in headers.items() if name.lower() not in HOP}
    connection = http.client.HTTPConnection(*daemon)
    try:
        connection.request(environ["REQUEST_METHOD"], path, body or None, headers)
        response = connection.getresponse()
    except OSError as err:
        connection.close()
        start_response("502 Bad Gateway", [("Content-Type", "text/plain")])
        return [f"no fanoutd at {daemon[0]}:{daemon[1]}: {err}\n".encode()]
    start_response(f"{response.status} {response.reason}", [(n, v) for n, v in response.getheaders() if n.lower() not in HOP])

    def read() -> Iterator[bytes]:
        try:
            while piece := response.read(65536):
                yield piece
        finally:
            connection.close()

    return read()


async def asgi(daemon: tuple[str, int], scope: Any, receive: Any, send: Any) -> None:
    """The same for ASGI."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000, "reason": "connect to fanoutd itself"})
        return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    try:
        reader, writer = await asyncio.open_connection(*daemon, limit=1 << 20)
    except OSError as err:
        await answer(send, 502, f"no fanoutd at {daemon[0]}:{daemon[1]}: {err}\n".encode())
        return
    try:
        path = scope.get("raw_path") or urllib.parse.quote(scope["path"]).encode()
        query = b"?" + scope["query_string"] if scope.get("query_string") else b""
        head = [f"{scope['method']} ".encode() + path.split(b"?")[0] + query + b" HTTP/1.0"]
        kept = HOP | {"content-length"}
        head += [n + b": " + v for n, v in scope["headers"] if n.decode("latin-1").lower() not in kept]
        head += [b"content-length: %d" % len(body), b"connection: close", b"", b""]
        writer.write(b"\r\n".join(head) + body)
        status, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(b":") for line in lines)]
        headers = [(n, v) for n, v in headers if n.decode("latin-1") not in HOP]
        await send({"type": "http.response.start", "status": int(status.split()[1]), "headers": headers})
        while piece := await reader.read(65536):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except asyncio.IncompleteReadError:
        await answer(send, 502, b"fanoutd ended the connection\n")
    finally:
        writer.close()


async def answer(send: Any, status: int, body: bytes, content_type: bytes = b"text/plain") -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def endpoint(path: str) -> str:
    """A path with a slash on each side."""
    return "/" + path.strip("/") + "/"
