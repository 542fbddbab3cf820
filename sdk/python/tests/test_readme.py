"""The README's programs run, and are typed."""

from __future__ import annotations

import asyncio
import inspect
import pathlib
import re
import subprocess
import sys

import fanoutd
from test_client import members
from waiting import until

here = pathlib.Path(__file__).resolve().parent


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (here.parent / "README.md").read_text(), re.S)


async def test_the_chat_runs(daemon, browser, tmp_path, monkeypatch):
    (tmp_path / "index.html").write_text("the page")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FANOUTD_ADDRESS", daemon.control)
    names: dict = {}
    exec(programs()[0], names)
    await names["sio"].start()
    a, b = await browser().connect(auth={"name": "Ada"}), await browser().connect()
    assert await a.io.call("say", "hi") == "ok"
    assert await b.io.call("say", "ho") == "ok"
    await until(lambda: a.heard == [("said", "somebody", "ho")] and b.heard == [("said", "Ada", "hi")], "each hears the other")
    await names["sio"].shutdown()


async def test_the_greeter_runs(daemon, browser):
    a, b = await browser().connect(), await browser().connect()
    text = programs()[1].replace("localhost:8081", daemon.control)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", text)
    try:
        await until(lambda: b.heard == [("news", {"text": "hello"})], "the news are heard")
        async with fanoutd.Client(daemon.control) as client:
            await until(lambda: members(client, "greeter"), "it has joined")
        assert await b.io.call("greet", "Ada", timeout=15) == "hello, Ada"
        await until(lambda: a.heard == [("news", {"text": "hello"}), ("greeted", "Ada")], "the others hear of it")
        assert b.heard == [("news", {"text": "hello"})]
    finally:
        process.terminate()
        ended = await process.wait()
    assert ended == 0


def test_a_users_program_passes_mypy_strict(tmp_path):
    chat, greeter, raw = programs()
    chat = re.sub(r"def connect\(.*\)", "def connect(sid: str, environ: dict[str, object], auth: dict[str, str] | None) -> None", chat)
    chat = re.sub(r"def say\(.*\)", "def say(sid: str, text: str) -> str", chat)
    (tmp_path / "chat.py").write_text(chat)
    (tmp_path / "greeter.py").write_text(greeter)
    (tmp_path / "sync.py").write_text(
        "from fanoutd import socketio\n"
        "sio = socketio.Server()\n"
        "@sio.on('x', namespace='/n')\n"
        "def x(sid: str) -> int:\n"
        "    with sio.session(sid) as session:\n"
        "        session['n'] = 1\n"
        "    rooms: list[str] = sio.rooms(sid)\n"
        "    sio.emit('y', (1, 2), room=rooms)\n"
        "    return len(rooms)\n"
        "app = socketio.WSGIApp(sio)\n"
    )
    (tmp_path / "raw.py").write_text(
        "import fanoutd\n\n\nasync def nodes(client: fanoutd.Client) -> list[str]:\n"
        + "".join(f"    {line}\n" for line in raw.strip().replace("await nodes", "answer = await nodes").splitlines())
        + "    return [n.name for n in answer.nodes]\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "chat.py", "greeter.py", "sync.py", "raw.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert fanoutd.__version__


async def test_a_consumers_options():
    """Client.consumer takes all that Consumer does, with the same defaults."""
    theirs, ours = (inspect.signature(f).parameters for f in (fanoutd.Consumer.__init__, fanoutd.Client.consumer))
    assert [str(p) for p in theirs.values()][2:] == [str(p) for p in ours.values()][1:]
