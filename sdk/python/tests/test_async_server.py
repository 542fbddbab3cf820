"""AsyncServer in this process, against the real daemon, with stock clients."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import fanoutd
from fanoutd import socketio
from waiting import until


@pytest.fixture
async def serve(daemon):
    """Starts servers, which end with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(server: socketio.AsyncServer) -> socketio.AsyncServer:
            await server.start()
            stack.push_async_callback(server.shutdown)
            return server

        yield start


def make(daemon, **options) -> socketio.AsyncServer:
    return socketio.AsyncServer(addresses=daemon.control, group="test", **options)


async def test_what_a_connect_handler_does(daemon, browser, serve):
    """It emits, joins, saves and broadcasts for a client that is not connected yet."""
    sio = make(daemon)
    seen: list = []

    @sio.event
    async def connect(sid, environ, auth):
        seen.append(("connect", auth, environ["QUERY_STRING"], environ["HTTP_USER_AGENT"][:5], environ["asgi.scope"]["path"]))
        await sio.emit("hello", (1, 2, {"hello": "you"}), to=sid)
        await sio.save_session(sid, {"name": auth["name"]})
        await sio.enter_room(sid, "tea")
        await sio.emit("came", auth["name"], room="tea")
        await sio.emit("all but me", skip_sid=sid)
        assert sorted(sio.rooms(sid)) == sorted([sid, "tea"])

    @sio.event
    async def who(sid):
        async with sio.session(sid) as session:
            session["asked"] = session.get("asked", 0) + 1
        return (await sio.get_session(sid)), sorted(sio.rooms(sid)) == sorted([sid, "tea"])

    @sio.event
    def disconnect(sid, reason):
        seen.append(("disconnect", reason))

    await serve(sio)
    a = await browser().connect(auth={"name": "Ada"}, headers={"User-Agent": "tests"}, query="?x=1")
    await until(lambda: len(a.heard) == 2, "she has heard both")
    assert a.heard == [("hello", 1, 2, {"hello": "you"}), ("came", "Ada")]
    assert "x=1" in seen[0][2]
    assert seen[0][:2] == ("connect", {"name": "Ada"}) and seen[0][3:] == ("tests", "/socket.io/")
    b = await browser().connect(auth={"name": "Bob"}, headers={"User-Agent": "tests"})
    await until(lambda: len(a.heard) == 4 and len(b.heard) == 2, "both have heard of him")
    assert a.heard[2:] == [("came", "Bob"), ("all but me",)]
    assert b.heard == [("hello", 1, 2, {"hello": "you"}), ("came", "Bob")]
    assert await a.io.call("who") == ({"name": "Ada", "asked": 1}, True)
    assert await a.io.call("who") == ({"name": "Ada", "asked": 2}, True)
    await a.io.disconnect()
    await until(lambda: seen[-1][0] == "disconnect", "its end is heard")
    assert seen[-1][1] in ("client disconnect", "transport close")


async def test_who_is_refused(daemon, browser, serve):
    sio = make(daemon)
    answers: dict = {
        "false": lambda: False,
        "refused": lambda: (_ for _ in ()).throw(socketio.exceptions.ConnectionRefusedError("no", 1, 2)),
        "built in": lambda: (_ for _ in ()).throw(ConnectionRefusedError()),
        "let in": lambda: None,
    }
    ended: list = []

    @sio.event
    def connect(sid, environ, auth):
        return answers[auth["as"]]()

    @sio.event
    def disconnect(sid):
        ended.append(sid)

    await serve(sio)
    for auth, why in {
        "false": {"message": "Connection rejected by server"},
        "refused": {"message": "no", "data": [1, 2]},
        "built in": {"message": "Connection refused by server"},
    }.items():
        b = browser(reconnection=False)
        with pytest.raises(Exception):
            await b.connect(auth={"as": auth})
        assert b.refused == [why]
    b = await browser().connect(auth={"as": "let in"})
    sid = b.sid
    await b.io.disconnect()
    await until(lambda: ended == [sid], "only the one that was let in has an end")


async def test_rooms_callbacks_and_calls(daemon, browser, serve):
    sio = make(daemon)
    await serve(sio)
    a, b = await browser().connect(), await browser().connect()
    a.io.on("ask", lambda *args: args)
    await sio.enter_room(a.sid, "r")
    await sio.enter_room(b.sid, "r")
    await sio.enter_room(b.sid, "s")
    await sio.emit("one", 1, room="r", skip_sid=b.sid)
    await sio.emit("two", {"n": 2}, to=["r", "s"])
    await sio.leave_room(b.sid, "r")
    await sio.emit("three", [3], room="r")
    await sio.close_room("r")
    await sio.emit("nobody", room="r")
    await sio.send("four")
    await until(lambda: len(a.heard) == 4 and len(b.heard) == 2, "all is heard")
    assert a.heard == [("one", 1), ("two", {"n": 2}), ("three", [3]), ("message", "four")]
    assert b.heard == [("two", {"n": 2}), ("message", "four")]
    assert await sio.call("ask", sid=a.sid) is None
    assert await sio.call("ask", 1, to=a.sid) == 1
    assert await sio.call("ask", (1, b"2"), to=a.sid) == (1, b"2")
    got: list = []
    await sio.emit("ask", (5, 6), to=a.sid, callback=lambda *args: got.append(args))
    await until(lambda: got == [(5, 6)], "the callback is called")
    with pytest.raises(socketio.exceptions.TimeoutError):
        await sio.call("unanswered", to=a.sid, timeout=0.2)
    gone = b.sid
    await sio.disconnect(b.sid)
    with pytest.raises(socketio.exceptions.DisconnectedError):
        await sio.call("ask", to=gone)
    with pytest.raises(ValueError, match="not connected"):
        await sio.enter_room(gone, "r")
    with pytest.raises(KeyError):
        await sio.get_session(gone)
    with pytest.raises(TypeError, match="string"):
        await sio.enter_room(a.sid, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="keys are strings"):
        await sio.save_session(a.sid, {1: 2})  # type: ignore[dict-item]


async def test_namespaces_classes_and_catch_all(start_daemon, browser, serve):
    daemon = start_daemon(namespaces="/,/chat,/any,/other")
    sio = make(daemon, namespaces="*")
    log: list = []

    class Chat(socketio.AsyncNamespace):
        async def on_connect(self, sid, environ):
            await self.save_session(sid, {"in": self.namespace})
            await self.emit("welcome", room=sid)

        async def on_say(self, sid, text):
            await self.emit("said", text, skip_sid=sid)
            return await self.get_session(sid)

        def on_disconnect(self, sid):
            log.append("left")

    sio.register_namespace(Chat("/chat"))
    sio.on("*", lambda event, sid, *args: (event, *args), namespace="/any")
    sio.on("named", lambda sid, *args: "its own", namespace="/any")

    class Rest(socketio.AsyncNamespace):
        async def trigger_event(self, event, namespace, sid, *args):
            return (event, namespace, *args) if event == "y" else None

    sio.register_namespace(Rest("*"))
    await serve(sio)
    b = await browser(daemon).connect(namespaces=["/chat", "/any", "/other"])
    c = await browser(daemon).connect(namespaces=["/chat"])
    await until(lambda: b.heard == [("welcome",)] == c.heard, "both are welcome")
    assert await b.io.call("say", "hi", namespace="/chat") == {"in": "/chat"}
    assert await b.io.call("x", 1, namespace="/any") == ("x", 1)
    assert await b.io.call("named", 1, namespace="/any") == "its own"
    assert await b.io.call("y", 2, namespace="/other") == ("y", "/other", 2)
    await until(lambda: c.heard == [("welcome",), ("said", "hi")], "the other has heard it")
    await c.io.disconnect()
    await until(lambda: log == ["left"], "it has left")


async def test_a_namespace_that_comes_late(start_daemon, browser, serve):
    daemon = start_daemon(namespaces="/,/late")
    sio = make(daemon)
    await serve(sio)
    sio.on("ping", lambda sid: "pong", namespace="/late")
    async with fanoutd.Client(daemon.control) as client:
        await until(lambda: hears(client, "test", "/late"), "it asks for that namespace too")
    b = await browser(daemon).connect(namespaces=["/late"])
    assert await b.io.call("ping", namespace="/late") == "pong"


async def test_handlers_of_one_client(daemon, browser, serve):
    """In order with async_handlers=False; at the same time otherwise."""
    for ordered in (True, False):
        sio = socketio.AsyncServer(addresses=daemon.control, group=f"ordered {ordered}", async_handlers=not ordered)
        log: list = []

        @sio.event
        async def slow(sid, n):
            log.append(("begin", n))
            await asyncio.sleep(0.1)
            log.append(("end", n))

        await sio.start()
        b = await browser().connect()
        await b.io.emit("slow", 1)
        await b.io.emit("slow", 2)
        await until(lambda: len(log) == 4, "both are done")
        if ordered:
            assert log == [("begin", 1), ("end", 1), ("begin", 2), ("end", 2)]
        else:
            assert log[:2] == [("begin", 1), ("begin", 2)]
        await b.io.disconnect()
        await sio.shutdown()
        await delete(daemon, sio.group)


async def hears(client: fanoutd.Client, group: str, namespace: str) -> bool:
    """Whether a member of the group asks for the namespace's events."""
    stub = fanoutd.v1.AdminServiceStub(client.channel)
    response = await stub.ListConsumers(fanoutd.v1.ListConsumersRequest(group=group), metadata=client.metadata)
    return any(namespace in c.namespaces for g in response.groups for c in g.consumers)


async def delete(daemon, group: str) -> None:
    """Groups that authorise do so until they are deleted."""
    async with fanoutd.Client(daemon.control) as client:
        request = fanoutd.v1.DeleteGroupRequest(group=group)
        await fanoutd.v1.AdminServiceStub(client.channel).DeleteGroup(request, metadata=client.metadata)


async def test_always_connect(daemon, browser, serve):
    sio = make(daemon, always_connect=True)

    @sio.event
    async def connect(sid, environ, auth):
        await sio.emit("hello", to=sid)
        if auth["as"] == "bad":
            raise socketio.exceptions.ConnectionRefusedError("no")

    await serve(sio)
    good = await browser().connect(auth={"as": "good"})
    await until(lambda: good.heard == [("hello",)], "it is heard")
    bad = await browser().connect(auth={"as": "bad"})
    await until(lambda: not bad.io.connected, "it is disconnected")


async def test_a_restart_finds_its_clients_again(daemon, browser):
    """Rooms, sessions and the handshake outlive the process that knew them."""
    first = make(daemon)

    async def connect(sid, environ):
        await first.save_session(sid, {"n": 1, "big": 2**53 + 1})
        await first.enter_room(sid, "r")

    first.on("connect", connect)
    await first.start()
    b = await browser().connect(query="?v=7")
    await until(lambda: first.manager.is_connected(b.sid, "/"), "it is there")
    await first.shutdown()
    await b.io.emit("missed", 1)
    second = make(daemon)
    heard: list = []
    second.on("connect", lambda sid, environ: heard.append("connected again"))
    second.on("missed", lambda sid, n: heard.append(n))
    await second.start()
    await until(lambda: heard, "what was sent in between has come")
    assert heard == [1]
    assert sorted(second.rooms(b.sid)) == sorted([b.sid, "r"])
    assert await second.get_session(b.sid) == {"n": 1, "big": 2**53 + 1}
    assert "v=7" in second.get_environ(b.sid)["QUERY_STRING"]  # type: ignore[index]
    assert list(second.manager.get_participants("/", "r"))[0][0] == b.sid
    await second.shutdown()


async def test_what_others_change_is_seen(daemon, browser, serve):
    sio = await serve(make(daemon))
    b = await browser().connect()
    await until(lambda: sio.manager.is_connected(b.sid, "/"), "it is there")
    async with fanoutd.Client(daemon.control) as client:
        await client.join(fanoutd.connections(b.sid), "r")
        await client.update(b.sid, {"n": 2})
    await until(lambda: "r" in sio.rooms(b.sid), "the room is seen")

    async def session() -> bool:
        return await sio.get_session(b.sid) == {"n": 2}

    await until(session, "the session is seen")
    assert sio.get_environ(b.sid)["REMOTE_ADDR"] == "127.0.0.1"  # type: ignore[index]


async def test_clients_that_were_there_before(daemon, browser, serve):
    """Nobody asked whether they may connect: their connect handler is called now."""
    b = await browser().connect()
    c = await browser().connect()
    sio = make(daemon)
    b_sid, c_sid = b.sid, c.sid

    @sio.event
    async def connect(sid, environ, auth):
        await sio.emit("hello", to=sid)
        return sid == b_sid

    await serve(sio)
    await until(lambda: b.heard == [("hello",)] and not c.io.connected, "one stays")
    assert sio.manager.is_connected(b_sid, "/")
    assert c_sid != b_sid


async def test_what_fails(daemon, browser, serve, caplog):
    sio = make(daemon)
    tries: list = []

    @sio.event
    async def bad(sid):
        tries.append("bad")
        raise ValueError("of the handler")

    @sio.event
    async def later(sid):
        from fanoutd import Retry

        tries.append("later")
        if len(tries) < 4:
            raise Retry(delay=0.05)
        return len(tries)

    await serve(sio)
    b = await browser().connect()
    await b.io.emit("bad")
    assert await b.io.call("later") == 4
    assert tries == ["bad", "later", "later", "later"]
    assert "of the handler" in caplog.text


async def test_what_cannot_be_says_so(daemon):
    with pytest.warns(socketio.SettingWarning, match="--origins"):
        make(daemon, cors_allowed_origins="*")
    with pytest.raises(TypeError, match="no argument"):
        make(daemon, pin_interval=3)
    with pytest.raises(TypeError, match="client managers"):
        make(daemon, client_manager=object())
    sio = make(daemon)
    with pytest.raises(NotImplementedError, match="metrics"):
        sio.instrument(auth=False)
    with pytest.raises(AttributeError, match="Engine.IO is fanoutd's"):
        sio.eio
    with pytest.raises(AttributeError, match="client managers"):
        socketio.AsyncRedisManager
    with pytest.raises(AttributeError, match="is a client"):
        socketio.AsyncClient
    wrong = make(daemon, namespaces=["/not served"])
    with pytest.raises(Exception, match="namespaces"):
        await wrong.start()
    await wrong.shutdown()
