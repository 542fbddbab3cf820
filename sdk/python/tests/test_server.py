"""Server, with threads, against the real daemon, with stock clients in this test's loop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import fanoutd
from fanoutd import socketio
from test_client import members
from waiting import until


@pytest.fixture
def make(daemon):
    """Makes servers, which end with the test."""
    made: list[socketio.Server] = []

    def server(**options) -> socketio.Server:
        made.append(socketio.Server(addresses=daemon.control, group="test", **options))
        return made[-1]

    yield server
    for one in made:
        one.shutdown()


async def test_what_handlers_do(daemon, browser, make):
    sio = make()
    ended: list = []

    @sio.event
    def connect(sid, environ, auth):
        assert environ["REMOTE_ADDR"] == "127.0.0.1" and environ["wsgi.multithread"]
        if auth and auth.get("bad"):
            raise socketio.exceptions.ConnectionRefusedError("no")
        sio.emit("hello", sid, to=sid)
        sio.enter_room(sid, "tea")
        with sio.session(sid) as session:
            session["n"] = 1

    @sio.event
    def work(sid, n):
        with sio.session(sid) as session:
            session["n"] += n
        sio.emit("worked", session["n"], room="tea")
        return sio.call("double", n, to=sid), sorted(sio.rooms(sid)) == sorted([sid, "tea"])

    @sio.event
    def disconnect(sid, reason):
        ended.append((sio.get_session(sid), "tea" in sio.rooms(sid)))

    await asyncio.to_thread(sio.start)
    bad = browser(reconnection=False)
    with pytest.raises(Exception):
        await bad.connect(auth={"bad": 1})
    assert bad.refused == [{"message": "no"}]
    b = await browser().connect()
    b.io.on("double", lambda n: 2 * n)
    assert await b.io.call("work", 4) == (8, True)
    await until(lambda: len(b.heard) == 2, "both events have come")
    assert b.heard == [("hello", b.sid), ("worked", 5)]
    got: list = []
    sid = b.sid
    await asyncio.to_thread(sio.emit, "double", 21, to=sid, callback=lambda *args: got.append((args, threading.current_thread().name)))
    await until(lambda: got == [((42,), "fanoutd handler")], "the callback is called in a thread")
    await asyncio.to_thread(sio.disconnect, sid)
    await until(lambda: ended == [({"n": 5}, True)], "the disconnect handler has what was known")

    async def forgotten() -> bool:
        return await asyncio.to_thread(sio.rooms, sid) == []

    await until(forgotten, "it is in no room once its handler has returned")


async def test_many_threads_emit_each_in_order(daemon, browser, make):
    sio = make()
    await asyncio.to_thread(sio.start)
    b = await browser().connect()

    def emit(who: int) -> None:
        for n in range(50):
            sio.emit("n", (who, n))

    threads = [threading.Thread(target=emit, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await until(lambda: len(b.heard) == 400, "all have come")
    for who in range(8):
        assert [n for _, w, n in b.heard if w == who] == list(range(50))


async def test_classes_and_one_after_the_other(daemon, browser, make):
    sio = make(async_handlers=False)
    log: list = []

    class Root(socketio.Namespace):
        def on_slow(self, sid, n):
            log.append(("begin", n))
            time.sleep(0.05)
            log.append(("end", n))
            return n

        def on_disconnect(self, sid):
            log.append("left")

    sio.register_namespace(Root())
    with pytest.raises(ValueError):
        sio.register_namespace(socketio.AsyncNamespace())
    with pytest.raises(RuntimeError):
        sio.call("x", to="y")
    await asyncio.to_thread(sio.start)
    b = await browser().connect()
    await b.io.emit("slow", 1)
    assert await b.io.call("slow", 2) == 2
    assert log == [("begin", 1), ("end", 1), ("begin", 2), ("end", 2)]
    await b.io.disconnect()
    await until(lambda: log[-1] == "left", "it has left")


async def test_it_begins_by_itself_when_its_handlers_are_there(daemon, browser, make):
    sio = make()
    app = socketio.WSGIApp(sio)
    sio.on("ask", lambda sid: "answer")
    async with fanoutd.Client(daemon.control) as client:
        await until(lambda: members(client, "test"), "it has joined")
    b = await browser().connect()
    assert await b.io.call("ask", timeout=20) == "answer"
    said: list = []
    body = b"".join(app({"PATH_INFO": "/socket.io/"}, lambda status, headers: said.append(status)))
    assert said == ["404 Not Found"] and b"fanoutd" in body


def test_what_cannot_be_says_so(daemon):
    with pytest.raises(ValueError, match="threads"):
        socketio.Server(async_mode="eventlet")
    sio = socketio.Server(addresses=daemon.control, namespaces=["/not served"])
    with pytest.raises(Exception, match="namespaces"):
        sio.start()
    sio.shutdown()
    with pytest.raises(TypeError, match="string"):
        sio.enter_room("sid", 7)  # type: ignore[arg-type]
    assert sio.async_mode == "threading"
