"""Several addresses: when a daemon is gone the next is used."""

from __future__ import annotations

import asyncio
import signal

import pytest

import fanoutd
from fanoutd import socketio
from test_client import members
from waiting import until


async def test_the_next_one(start_daemon, browser):
    first, second = start_daemon(), start_daemon()
    async with fanoutd.Client([first.control, second.control]) as client, fanoutd.Client(second.control) as looks:
        sio = socketio.AsyncServer(addresses=f"{first.control},{second.control}", group="both")
        sio.on("ask", lambda sid: "answer")
        await sio.start()
        a, b = await browser(first, reconnection=False).connect(), await browser(second).connect()
        assert await client.emit(fanoutd.everybody(), "n", 1) == 1
        assert await a.io.call("ask") == "answer"
        await asyncio.to_thread(first.stop, signal.SIGKILL)
        assert await client.emit(fanoutd.everybody(), "n", 2, idempotency_key="k") == 1
        await until(lambda: members(looks, "both"), "the server has joined at the other")
        await until(lambda: b.heard == [("n", 2)], "the second emit came by way of the other")
        assert await b.io.call("ask") == "answer"
        await sio.shutdown()


async def test_nobody_answers():
    async with fanoutd.Client("127.0.0.1:1,127.0.0.1:2", patience=0.5) as client:
        with pytest.raises(fanoutd.UnavailableError, match="127.0.0.1:2"):
            await client.emit(fanoutd.everybody(), "x")
        with pytest.raises(fanoutd.UnavailableError):
            await client.count(fanoutd.everybody())
