"""Values that browsers may send and Python has no way with: what cannot be handled fails alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys

import engineio
import grpc
import pytest
import socketio as reference  # python-socketio: its clients

import fanoutd
from fanoutd import socketio
from test_client import members
from waiting import until

LIMITED = hasattr(sys, "set_int_max_str_digits")
DEEP = "[" * 2000 + "]" * 2000  # deeper than the module json follows
LONG = "1" * 5000  # digits: more than most Pythons make an int of
LONE = "a\ud800"  # half of a pair: JavaScript may have it in a string, and UTF-8 not


class Raw:
    """A client that says what it is told to."""

    def __init__(self, eio: engineio.AsyncClient) -> None:
        self.eio = eio
        self.heard: list[str] = []

    async def say(self, text: str) -> None:
        await self.eio.send(text)


@pytest.fixture
async def raw(daemon):
    """Makes such clients, which have sent their CONNECT and end with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(auth: str = "") -> Raw:
            client = Raw(engineio.AsyncClient())

            async def keep(text: str) -> None:
                client.heard.append(text)

            client.eio.on("message", keep)
            await client.eio.connect(daemon.url, transports=["websocket"], engineio_path="socket.io")
            stack.push_async_callback(client.eio.disconnect)
            await client.say("0" + auth)
            return client

        yield make


async def joined(client: fanoutd.Client) -> None:
    async def one() -> bool:
        return await members(client, "test") == 1

    await until(one, "the consumer is there")


async def test_half_a_pair_comes_and_goes(daemon, browser):
    async with fanoutd.Client(daemon.control) as client:
        consumer = client.consumer("test")

        @consumer.on_connecting
        async def connecting(event: fanoutd.Event) -> None:
            if event.args != [{}]:
                raise fanoutd.Refuse(event.args[0]["name"])

        @consumer.on("echo")
        async def echo(event: fanoutd.Event):
            await client.emit(fanoutd.connections(event.connection_id), "back", event.args[0])
            await client.update(event.connection_id, {"name": event.args[0]})
            return event.args[0]

        running = asyncio.create_task(consumer.run())
        await joined(client)
        b = await browser().connect()
        assert await b.io.call("echo", LONE) == LONE
        assert b.heard == [("back", LONE)]
        refused = browser(reconnection=False)
        with pytest.raises(Exception):
            await refused.connect(auth={"name": LONE})
        assert refused.refused == [{"message": "a\ufffd"}]
        running.cancel()


async def test_half_a_pair_with_a_server(daemon, browser):
    sio = socketio.AsyncServer(addresses=daemon.control, group="test")

    @sio.event
    async def connect(sid, environ, auth):
        if auth:
            raise socketio.exceptions.ConnectionRefusedError(auth["name"])

    @sio.event
    async def echo(sid, value):
        await sio.save_session(sid, {"name": value})
        await sio.emit("back", value, to=sid)
        return value

    await sio.start()
    b = await browser().connect()
    assert await b.io.call("echo", LONE) == LONE
    assert b.heard == [("back", LONE)]
    refused = browser(reconnection=False)
    with pytest.raises(Exception):
        await refused.connect(auth={"name": LONE})
    assert refused.refused == [{"message": "a\ufffd"}]
    await sio.shutdown()


async def test_what_is_nested_too_deep_is_a_dead_letter(daemon, raw):
    async with fanoutd.Client(daemon.control) as client:
        consumer = client.consumer("test")
        heard: list = []

        @consumer.on_any
        async def anything(event: fanoutd.Event):
            heard.append(event.args)

        @consumer.on_connecting
        async def connecting(event: fanoutd.Event) -> None: ...

        running = asyncio.create_task(consumer.run())
        await joined(client)
        b = await raw()
        await b.say(f'2["deep",{DEEP}]')
        await b.say(f'2["long",{LONG}]')
        await b.say('2["after",1]')
        await until(lambda: heard[-1:] == [[1]], "what follows it is handled")
        response = await fanoutd.v1.AdminServiceStub(client.channel).ListDeadLetters(fanoutd.v1.ListDeadLettersRequest(group="test"))
        assert [letter.event.event for letter in response.dead_letters] == ["deep", *(["long"] if LIMITED else [])]
        refused = await raw(f'{{"a":{DEEP}}}')
        await until(lambda: refused.heard == ['4{"message":"auth cannot be read: it is nested too deep"}'], "it is turned away")
        running.cancel()


def number_of(packet: str) -> str:
    """What an event's answer is to name."""
    found = re.match(r"2(\d+)", packet)
    assert found
    return found[1]


async def test_an_answer_nested_too_deep_is_none(daemon, raw):
    async with fanoutd.Client(daemon.control) as client:
        b = await raw()
        await until(lambda: len(b.heard) == 1, "it is in")
        answers = asyncio.create_task(client.emit_with_ack(fanoutd.everybody(), "ask"))
        await until(lambda: len(b.heard) == 2, "it is asked")
        other = asyncio.create_task(client.call("nobody", "ask"))
        await b.say(f"3{number_of(b.heard[1])}[{DEEP}]")
        assert [(answer.args, answer.failure) for answer in await answers] == [(None, "UNDECODABLE")]
        with pytest.raises(fanoutd.NotFoundError):
            await other
        call = asyncio.create_task(client.call(answers.result()[0].connection_id, "ask"))
        await until(lambda: len(b.heard) == 3, "it is asked once more")
        await b.say(f"3{number_of(b.heard[2])}[{DEEP}]")
        with pytest.raises(ValueError, match="too deep"):
            await call
        assert await client.emit(fanoutd.everybody(), "x") == 1


@pytest.mark.parametrize("always_connect", [False, True])
async def test_a_server_and_what_is_nested_too_deep(start_daemon, always_connect, caplog):
    daemon = start_daemon(**{"expose-auth": "true"})
    there = engineio.AsyncClient()  # before the server is
    gone = asyncio.Event()

    async def over(*_):
        gone.set()

    there.on("disconnect", over)
    await there.connect(daemon.url, transports=["websocket"], engineio_path="socket.io")
    await there.send(f'0{{"a":{DEEP}}}')
    async with fanoutd.Client(daemon.control) as client:

        async def connections() -> bool:
            return await client.count(fanoutd.everybody()) == 1

        await until(connections, "it is in")
        sio = socketio.AsyncServer(addresses=daemon.control, group="test", always_connect=always_connect)
        heard: list = []

        @sio.event
        async def connect(sid, environ, auth):
            heard.append(("connect", auth))

        @sio.on("*")
        async def anything(event, sid, *args):
            heard.append((event, *args))

        await sio.start()

        async def nobody() -> bool:
            return await client.count(fanoutd.everybody()) == 0

        await until(nobody, "who was there is turned away")
        later = engineio.AsyncClient()
        await later.connect(daemon.url, transports=["websocket"], engineio_path="socket.io")
        await later.send('0{"name":"Ada"}')
        await later.send(f'2["deep",{DEEP}]')
        await later.send('2["after",1]')
        await until(lambda: heard == [("connect", {"name": "Ada"}), ("after", 1)], "others are served")
        assert await members(client, "test") == 1
        await sio.shutdown()
        await later.disconnect()
    await there.disconnect()
    assert not [r for r in caplog.records if r.name == "asyncio" and r.levelno >= logging.ERROR]


async def test_what_is_too_large_is_not_sent_again_and_again(daemon):
    async with fanoutd.Client(daemon.control) as client:
        with pytest.raises(fanoutd.FanoutdError, match="cannot be sent"):
            await client.join(fanoutd.everybody(), "x" * (17 << 20))
        assert await client.emit(fanoutd.everybody(), "x") == 0


async def test_what_is_too_large_fails_alone(daemon, browser):
    here = await browser().connect()
    asked, told = asyncio.Event(), asyncio.Event()

    @here.io.on("ask")
    async def ask():
        asked.set()
        await told.wait()
        return "late"

    async with fanoutd.Client(daemon.control) as client:
        waiting = asyncio.create_task(client.call(here.sid, "ask", timeout=30))
        await asked.wait()
        with pytest.raises(fanoutd.FanoutdError, match="cannot be sent") as failed:
            await client.emit(fanoutd.everybody(), "large", "x" * (16 << 20))
        assert failed.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await client.emit(fanoutd.everybody(), "after") == 1
        told.set()
        assert await waiting == ["late"]
    async with fanoutd.Client(daemon.control, max_request_bytes=1000) as client:
        with pytest.raises(fanoutd.FanoutdError, match="takes 1000"):
            await client.emit(fanoutd.everybody(), "large", "x" * 1000)
        assert await client.emit(fanoutd.everybody(), "small") == 1


async def test_what_the_daemon_cannot_take_settles_all_the_same(start_daemon, browser, caplog):
    daemon = start_daemon(**{"verdict-timeout": "1h"})
    async with fanoutd.Client(daemon.control) as client:
        consumer = client.consumer("test")

        @consumer.on_connecting
        async def connecting(event: fanoutd.Event) -> fanoutd.Allow:
            match event.args[0]:
                case {"way": "allow"}:
                    return fanoutd.Allow(rooms=[""])
                case {"way": "refuse"}:
                    raise fanoutd.Refuse("no", data="x" * 10_000)
            return fanoutd.Allow()

        @consumer.on("odd")
        async def odd(event: fanoutd.Event) -> list[bytes]:
            return [b"x"] * 2000  # more attachments than an event may have

        @consumer.on("even")
        async def even(event: fanoutd.Event) -> int:
            return 2

        run = asyncio.create_task(consumer.run())
        await joined(client)
        for way in ["allow", "refuse"]:
            caplog.clear()
            with pytest.raises(reference.exceptions.ConnectionError):
                await browser(daemon).connect({"way": way})
            assert f"{way}." in caplog.text
        here = await browser(daemon).connect({})
        await here.io.emit("odd", callback=lambda *args: None)
        assert await here.io.call("even", timeout=20) == 2
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def cancelled() -> None:
    """What a handler may await: a task that somebody cancelled."""
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await task


async def test_a_handler_that_awaits_what_was_cancelled(daemon, browser):
    async with fanoutd.Client(daemon.control) as client:
        consumer = client.consumer("test")
        attempts: list[int] = []

        @consumer.on("work")
        async def work(event: fanoutd.Event):
            attempts.append(event.attempt)
            if event.attempt == 1:
                await cancelled()
            return "done"

        running = asyncio.create_task(consumer.run())
        await joined(client)
        b = await browser().connect()
        assert await b.io.call("work", timeout=20) == "done"
        assert attempts == [1, 2]
        running.cancel()


async def test_a_servers_handler_that_awaits_what_was_cancelled(daemon, browser, raw, caplog):
    sio = socketio.AsyncServer(addresses=daemon.control, group="test")
    tries: list[str] = []

    @sio.event
    async def connect(sid, environ, auth):
        tries.append(sid)
        if len(tries) == 1:
            await cancelled()

    @sio.event
    async def work(sid, first):
        if first:
            await cancelled()
        return "done"

    @sio.event
    async def disconnect(sid, reason):
        await cancelled()

    await sio.start()
    first = await raw()
    await until(lambda: first.eio.state == "disconnected", "its client is to come again")
    b = await browser().connect()
    assert len(tries) == 2
    await b.io.emit("work", True)
    assert await b.io.call("work", False, timeout=20) == "done"
    await b.io.disconnect()
    await until(lambda: any("disconnect handler failed" in r.getMessage() for r in caplog.records), "the handler of its end failed")

    async with fanoutd.Client(daemon.control) as client:

        async def settled() -> bool:
            response = await fanoutd.v1.AdminServiceStub(client.channel).ListConsumers(fanoutd.v1.ListConsumersRequest(group="test"))
            return response.groups[0].consumers[0].in_flight == 0

        await until(settled, "all is settled")
    await sio.shutdown()


@pytest.mark.parametrize("returned", [False, {"rooms": []}, fanoutd.Allow(rooms="abc"), fanoutd.Allow(user_id=42), fanoutd.Allow(data={"a": {1}})])
async def test_only_an_allow_or_none_lets_in(start_daemon, browser, caplog, returned):
    daemon = start_daemon(**{"verdict-timeout": "1h"})
    async with fanoutd.Client(daemon.control) as client:
        consumer = client.consumer("test")

        @consumer.on_connecting
        async def connecting(event: fanoutd.Event):
            return returned

        run = asyncio.create_task(consumer.run())
        await joined(client)
        with pytest.raises(reference.exceptions.ConnectionError):
            await browser(daemon).connect({})
        assert "who may connect could not be decided" in caplog.text
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def test_a_refusal_whose_data_json_cannot_hold_refuses(start_daemon, browser):
    daemon = start_daemon(**{"verdict-timeout": "1h"})
    async with fanoutd.Client(daemon.control) as client:
        consumer = client.consumer("test")

        @consumer.on_connecting
        async def connecting(event: fanoutd.Event):
            raise fanoutd.Refuse("not you", data={"a": {1}})

        run = asyncio.create_task(consumer.run())
        await joined(client)
        with pytest.raises(reference.exceptions.ConnectionError):
            await browser(daemon).connect({})
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


def test_a_name_is_no_list_of_names():
    with pytest.raises(TypeError, match="except_: 'abc'"):
        fanoutd.everybody(except_="abc")
