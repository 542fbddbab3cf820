"""Whole programs: started, deployed and killed, while stock clients talk to them."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import urllib.request

import pytest

import fanoutd
from daemon import Daemon, free_ports
from test_client import members
from waiting import until

programs = pathlib.Path(__file__).resolve().parent / "programs"


class Program:
    def __init__(self, daemon: Daemon, *command: str) -> None:
        env = {n: v for n, v in os.environ.items() if not n.startswith("FANOUTD_")}
        env |= {"FANOUTD_ADDRESS": daemon.control, "FANOUTD_URL": daemon.url, "FANOUTD_GROUP": "program"}
        self.process = subprocess.Popen([sys.executable, *command], env=env, cwd=programs)

    def end(self, how: int) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture
def start(daemon):
    """Starts programs, which end with the test."""
    started: list[Program] = []

    def run(*command: str) -> Program:
        started.append(Program(daemon, *command))
        return started[-1]

    yield run
    for program in started:
        program.process.kill()
        program.process.wait()


@pytest.fixture
async def client(daemon):
    async with fanoutd.Client(daemon.control) as c:
        yield c


def get(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
        return response.read().decode()


KINDS = {
    "asgi": lambda port: ("asgi.py", str(port)),
    "uvicorn": lambda port: ("-m", "uvicorn", "--log-level=warning", f"--port={port}", "asgi:app"),
    "flask": lambda port: ("wsgi.py", str(port)),
    "gunicorn": lambda port: ("-m", "gunicorn", "--log-level=warning", "-w", "2", f"--bind=127.0.0.1:{port}", "wsgi:app"),
    "gunicorn, preloaded": lambda port: ("-m", "gunicorn", "--log-level=warning", "--preload", "-w", "2", f"--bind=127.0.0.1:{port}", "wsgi:app"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_program_and_its_deploy(kind, daemon, browser, client, start):
    """Its clients do not notice that it was replaced, and it does not forget them."""
    (port,) = free_ports(1)
    program = start(*KINDS[kind](port))
    processes = 2 if "gunicorn" in kind else 1
    await until(lambda: _members(client, processes), "its processes have joined")
    a = await browser().connect(transports=["polling"])
    b = await browser().connect()
    sid = b.sid
    await until(lambda: a.heard == [("hello", 1, {"you": a.sid})] and b.heard == [("hello", 1, {"you": sid})], "both are greeted")
    assert await b.io.call("add", 3) == (3, True)
    page = await asyncio.to_thread(get, port)
    assert "python-socketio" in page or page == "the page"
    # A client that comes to the program itself is handed on.
    handshake = await asyncio.to_thread(get, port, "/socket.io/?EIO=4&transport=polling")
    assert handshake.startswith('0{"sid"')

    program.end(signal.SIGTERM)
    await until(lambda: _members(client, 0), "it has left")
    await b.io.emit("number", 1)
    start(*KINDS[kind](port))
    await until(lambda: ("got", 1) in b.heard, "what was sent in between is answered")
    assert await b.io.call("add", 4) == (7, True)
    assert b.sid == sid and b.heard == [("hello", 1, {"you": sid}), ("got", 1)]


async def _members(client: fanoutd.Client, n: int) -> bool:
    return await members(client, "program") == n


async def test_killed_under_traffic(daemon, browser, client, start):
    """Two processes, one of which is killed again and again: no client misses an answer, or
    is disconnected."""
    seconds = float(os.environ.get("KILL_SECONDS", "6"))
    clients = int(os.environ.get("KILL_CLIENTS", "10"))
    pause = 1 / float(os.environ.get("KILL_RATE", "50"))  # between what a client sends
    kinds = ["asgi", "flask"]
    running = [start(*KINDS[kinds[i]](free_ports(1)[0])) for i in range(2)]
    await until(lambda: _members(client, 2), "both have joined")
    browsers = [await browser().connect() for _ in range(clients)]
    sids = [b.sid for b in browsers]
    stop = asyncio.Event()

    async def talk(b) -> int:
        n = 0
        while not stop.is_set():
            await b.io.emit("number", n)
            n += 1
            await asyncio.sleep(pause)
        return n

    talking = [asyncio.create_task(talk(b)) for b in browsers]
    end = asyncio.get_running_loop().time() + seconds
    kills = 0
    while asyncio.get_running_loop().time() < end:
        victim = kills % 2
        await asyncio.sleep(0.3)
        running[victim].end(signal.SIGKILL)
        running[victim] = start(*KINDS[kinds[victim]](free_ports(1)[0]))
        kills += 1
        await until(lambda: _members(client, 2), "it is back")
    stop.set()
    sent = await asyncio.gather(*talking)
    patience = max(30.0, seconds / 5)
    for b, n in zip(browsers, sent, strict=True):

        def all_answered(b=b, n=n) -> bool:
            return {x for e, x, *_ in b.heard if e == "got"} == set(range(n))

        await until(all_answered, "every number is answered", patience)
    repeats = sum(sum(e == "got" for e, *_ in b.heard) for b in browsers) - sum(sent)
    print(f"{kills} kills, {clients} clients, {sum(sent)} numbers, {repeats} of them answered twice, 0 missed")
    assert [b.sid for b in browsers] == sids, "nobody was disconnected"
    assert all(sum(e == "hello" for e, *_ in b.heard) == 1 for b in browsers)
