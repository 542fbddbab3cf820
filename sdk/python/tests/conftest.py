from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import pytest
import socketio as reference  # python-socketio: its clients

from daemon import Daemon

logging.getLogger("asyncio").setLevel(logging.ERROR)


@pytest.fixture
def start_daemon(tmp_path) -> Iterator:
    """Starts daemons with the flags it is given; they end with the test."""
    daemons: list[Daemon] = []

    def start(**flags: str) -> Daemon:
        daemons.append(Daemon(tmp_path, **flags))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def daemon(start_daemon) -> Daemon:
    return start_daemon()


class Browser:
    """A stock client that keeps what it hears."""

    def __init__(self, daemon: Daemon, **options) -> None:
        self.io = reference.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.5, **options)
        self.url = daemon.url
        self.heard: list[tuple] = []
        self.refused: list = []

    def listen(self, namespace: str) -> None:
        async def keep(event, *args):
            self.heard.append((event, *args))
            if event == "unanswered":
                await asyncio.Event().wait()

        async def refuse(why=None):
            self.refused.append(why)

        self.io.on("*", keep, namespace=namespace)
        self.io.on("connect_error", refuse, namespace=namespace)

    async def connect(self, auth=None, namespaces=("/",), transports=("websocket",), headers=None, query: str = "") -> Browser:
        for namespace in namespaces:
            self.listen(namespace)
        await self.io.connect(
            self.url + query, auth=auth, namespaces=list(namespaces), transports=list(transports), headers=headers or {}, wait_timeout=10
        )
        return self

    @property
    def sid(self) -> str:
        return self.io.get_sid()


@pytest.fixture
async def browser(daemon):
    """Makes stock clients, which end with the test."""
    async with contextlib.AsyncExitStack() as stack:

        def make(at: Daemon | None = None, **options) -> Browser:
            b = Browser(at or daemon, **options)
            stack.push_async_callback(b.io.disconnect)
            return b

        yield make
