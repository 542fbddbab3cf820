"""python-socketio's examples fiddle, latency and app, moved by one import.

They are in no package: $PYTHON_SOCKETIO names a checkout of its repository. What else is
changed of them: the port, and in app the switch for the Admin UI, which is their own.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import fanoutd
from daemon import free_ports
from test_client import members
from waiting import until

checkout = os.environ.get("PYTHON_SOCKETIO", "")
pytestmark = pytest.mark.skipif(not checkout, reason="$PYTHON_SOCKETIO names no checkout of python-socketio, whose examples these are")


@pytest.mark.parametrize("name", ["fiddle", "latency", "app"])
@pytest.mark.parametrize("kind", ["asgi", "wsgi", "aiohttp"])
async def test_example(kind, name, daemon, browser, tmp_path):
    folder = shutil.copytree(pathlib.Path(checkout) / "examples/server" / kind, tmp_path / "example")
    program = folder / f"{name}.py"
    (port,) = free_ports(1)
    text, moved = re.subn(r"^import socketio$", "from fanoutd import socketio", program.read_text(), flags=re.M)
    assert moved == 1
    text = text.replace("instrument = True", "instrument = False").replace("port=5000", f"port={port}")
    text = text.replace("app.run(threaded=True)", f"app.run(threaded=True, port={port})")
    text = re.sub(r"web\.run_app\((init_app\(\)|app)\)", rf"web.run_app(\1, port={port})", text)
    program.write_text(text)
    environ = dict(os.environ, FANOUTD_ADDRESS=daemon.control)
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen([sys.executable, program.name], cwd=folder, env=environ, stdout=out, stderr=out)
    try:
        async with fanoutd.Client(daemon.control) as client:
            await until(lambda: members(client, "socketio"), "it has joined")
        b = await browser().connect(auth={"token": "x"} if name == "fiddle" else None)
        if name == "fiddle":
            await until(lambda: b.heard == [("hello", 1, 2, {"hello": "you"})], "the client is greeted")
        elif name == "latency":
            await b.io.emit("ping_from_client")
            await until(lambda: b.heard == [("pong_from_server",)], "the ping is answered")
        else:
            await talk(b, "close room" if kind == "asgi" else "close_room")
            await b.io.emit("disconnect request" if kind == "asgi" else "disconnect_request")
            await until(lambda: not b.io.connected, "it is disconnected")
    finally:
        process.kill()
        process.wait()


async def talk(b, close: str) -> None:
    """What the page of app can say, each after the answer to the one before."""
    said = [
        (None, "Connected"),
        (("my_event", {"data": "x"}), "x"),
        (("my_broadcast_event", {"data": "y"}), "y"),
        (("join", {"room": "r"}), "Entered room: r"),
        (("my_room_event", {"room": "r", "data": "z"}), "z"),
        ((close, {"room": "r"}), "Room r is closing."),
    ]
    for n, (event, answer) in enumerate(said):
        if event is not None:
            await b.io.emit(*event)
        await until(lambda n=n: len(b.heard) == n + 1, f"the answer {answer}")
        assert b.heard[n][1]["data"] == answer
