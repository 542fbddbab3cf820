"""Client and Consumer against the real daemon, with stock clients."""

from __future__ import annotations

import asyncio

import pytest

import fanoutd
from waiting import until


async def members(client: fanoutd.Client, group: str) -> int:
    response = await fanoutd.v1.AdminServiceStub(client.channel).ListConsumers(
        fanoutd.v1.ListConsumersRequest(group=group), metadata=client.metadata
    )
    return sum(len(g.consumers) for g in response.groups)


async def test_emit_in_order_and_what_it_carries(daemon, browser):
    async with fanoutd.Client(daemon.control) as client:
        b = await browser().connect()
        to = fanoutd.connections(b.sid)
        matched = await asyncio.gather(*(client.emit(to, "n", i) for i in range(500)))
        assert matched == [1] * 500
        await client.emit(to, "all sorts", {"b": b"\x00\x01", "list": [b"x", None, 2**60]}, "ü", b"last")
        await until(lambda: len(b.heard) == 501, "all have come")
        assert b.heard[:500] == [("n", i) for i in range(500)]
        assert b.heard[500] == ("all sorts", {"b": b"\x00\x01", "list": [b"x", None, 2**60]}, "ü", b"last")


async def test_rooms_calls_and_what_is_refused(daemon, browser):
    async with fanoutd.Client(daemon.control) as client:
        a, b = await browser().connect(), await browser().connect()
        a.io.on("ask", lambda n: (n, b"yes"))
        b.io.on("ask", lambda n: "b")
        joined = await client.join(fanoutd.connections(a.sid), "tea")
        assert (joined, joined.partial, joined.unreachable) == (1, False, ())
        assert await client.emit(fanoutd.rooms("tea"), "hi") == 1
        assert await client.emit(fanoutd.everybody(except_=["tea"]), "not tea") == 1
        assert await client.call(a.sid, "ask", 1) == [1, b"yes"]
        answers = await client.emit_with_ack(fanoutd.everybody(), "ask", 2)
        assert answers.unreachable == ()
        assert {x.connection_id: x.args for x in answers} == {a.sid: [2, b"yes"], b.sid: ["b"]}
        with pytest.raises(fanoutd.NotFoundError):
            await client.call("nobody", "ask")
        with pytest.raises(fanoutd.DeadlineExceededError):
            await client.call(a.sid, "unanswered", timeout=0.2)
        with pytest.raises(fanoutd.InvalidArgumentError, match="event"):
            await client.emit(fanoutd.everybody(), "disconnect")
        with pytest.raises(fanoutd.InvalidArgumentError, match="namespace"):
            await client.emit(fanoutd.everybody(namespace="/none"), "x")
        with pytest.raises(TypeError, match="cannot be sent"):
            await client.emit(fanoutd.everybody(), "x", object())
        connection = await client.update(a.sid, {"name": "Ada"})
        assert dict(connection.data) == {"name": "Ada"}
        assert [c.id async for c in client.list_connections(fanoutd.rooms("tea"))] == [a.sid]
        assert await client.count(fanoutd.everybody()) == 2
        gone = b.sid
        assert await client.disconnect(fanoutd.connections(gone)) == 1
        with pytest.raises(fanoutd.NotFoundError):
            await client.connection(gone)


async def test_a_consumer_hears_decides_and_replies(daemon, browser):
    async with fanoutd.Client(daemon.control) as client:
        consumer = client.consumer("test", ack_wait=5)
        heard: list = []

        @consumer.on_connecting
        async def connecting(event: fanoutd.Event) -> fanoutd.Allow:
            if event.args != [{"token": "good"}]:
                raise fanoutd.Refuse("bad token", data={"why": 1})
            return fanoutd.Allow(user_id="ada", rooms=["tea"], data={"n": 1})

        @consumer.on_connect
        async def connect(event: fanoutd.Event) -> None:
            heard.append(("connect", event.user_id, sorted(event.connection.rooms) == sorted(["tea", event.connection_id])))

        @consumer.on("add")
        async def add(event: fanoutd.Event) -> object:
            heard.append(("add", *event.args))
            await asyncio.sleep(0)
            return sum(event.args), b"bytes"

        @consumer.on("fails once")
        async def fails(event: fanoutd.Event) -> str:
            if event.attempt == 1:
                raise fanoutd.Retry(delay=0.05)
            return "second"

        @consumer.on_disconnect
        async def gone(event: fanoutd.Event) -> None:
            heard.append(("gone", event.reason))

        run = asyncio.create_task(consumer.run())
        await until(lambda: members(client, "test"), "it has joined")
        bad = browser(reconnection=False)
        with pytest.raises(Exception):
            await bad.connect(auth={"token": "bad"})
        assert bad.refused == [{"message": "bad token", "data": {"why": 1}}]
        b = await browser().connect(auth={"token": "good"})
        assert await b.io.call("add", (1, 2)) == (3, b"bytes")
        assert await b.io.call("fails once") == "second"
        await b.io.disconnect()
        await until(lambda: len(heard) == 3, "all is heard")
        assert heard[:2] == [("connect", "ada", True), ("add", 1, 2)]
        assert heard[2] in [("gone", "client namespace disconnect"), ("gone", "transport close")]
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await members(client, "test") == 0


async def test_no_daemon_is_no_fault_of_an_event(start_daemon, browser):
    """Whose handler could not act, since no daemon answered, comes again as often as it takes."""
    daemon = start_daemon(max_attempts="2")
    attempts = []
    async with fanoutd.Client(daemon.control) as client:
        consumer = client.consumer("patient")

        @consumer.on("act")
        async def act(event):
            attempts.append(event.attempt)
            if len(attempts) < 4:
                raise fanoutd.UnavailableError('node "b" does not answer')
            return "done"

        running = asyncio.create_task(consumer.run())
        await until(lambda: members(client, "patient"), "it has joined")
        b = await browser(daemon).connect()
        assert await b.io.call("act") == "done"
        assert attempts == [1, 2, 3, 4]
        running.cancel()
        await asyncio.wait([running])
