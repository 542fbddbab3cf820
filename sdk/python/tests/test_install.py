"""The package as people get it: installed from what `python -m build` makes, into a venv with
nothing in it, by each Python that $INSTALL_WITH names; there the README's programs run.
The sdist is the first one's only."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import fanoutd
from daemon import Daemon
from test_client import members
from test_readme import programs
from waiting import until

interpreters = os.environ.get("INSTALL_WITH", "").split()
pytestmark = [
    pytest.mark.skipif(not interpreters, reason="$INSTALL_WITH names no Python to install it with: make interop does"),
    pytest.mark.timeout(600),
]

RUN = """
import asyncio


async def main():
    await sio.start()
    await asyncio.Event().wait()


asyncio.run(main())
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> pathlib.Path:
    """The folder of an sdist, and of the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(pathlib.Path(__file__).resolve().parents[1]))
    return folder


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


@pytest.mark.parametrize(("interpreter", "what"), [*((i, "*.whl") for i in interpreters), *((i, "*.tar.gz") for i in interpreters[:1])])
async def test_installed(interpreter, what, built, daemon, browser, tmp_path):
    run(interpreter, "-m", "venv", str(tmp_path / "venv"))
    python = str(tmp_path / "venv/bin/python")
    (package,) = built.glob(what)
    run(python, "-m", "pip", "install", "--quiet", str(package))
    print(f"{run(python, '--version').strip()}: {run(python, '-c', 'import fanoutd; print(fanoutd.__version__)').strip()}")
    (tmp_path / "index.html").write_text("the page")
    (tmp_path / "chat.py").write_text(programs()[0] + RUN)
    (tmp_path / "greeter.py").write_text(programs()[1].replace("localhost:8081", daemon.control))
    env = dict(os.environ, FANOUTD_ADDRESS=daemon.control)
    running = [subprocess.Popen([python, f"{name}.py"], cwd=tmp_path, env=env) for name in ("chat", "greeter")]
    try:
        async with fanoutd.Client(daemon.control) as client:
            await until(lambda: joined(client), "both have joined", 60)
        await chat_and_greet(daemon, browser)
    finally:
        for process in running:
            process.kill()
            process.wait()


async def joined(client: fanoutd.Client) -> bool:
    return await members(client, "socketio") == 1 and await members(client, "greeter") == 1


async def chat_and_greet(daemon: Daemon, browser) -> None:
    a, b = await browser(daemon).connect(auth={"name": "Ada"}), await browser(daemon).connect()
    assert await a.io.call("say", "hi") == "ok"
    await until(lambda: b.heard == [("said", "Ada", "hi")], "the other hears it")
    assert await b.io.call("greet", "Bob") == "hello, Bob"
