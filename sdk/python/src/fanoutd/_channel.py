"""Connections to the control API of one of several daemons."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence

import grpc
import grpc.aio

from ._version import version

# The level of the API that this package was written for; a daemon that has less refuses its calls.
API_LEVEL = "1"

OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.primary_user_agent", f"fanoutd-python/{version}"),
    ("grpc.keepalive_time_ms", 20_000),  # finds a daemon that is gone without a word
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 << 20),
]

MAX_REQUEST_BYTES = 16 << 20  # the default of the daemon's control-max-request


class Channels:
    """One channel at a time, to one of the addresses; next goes to the one after it.

    Belongs to the event loop that is running when channel is first asked for.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] | None,
        key: str | None,
        credentials: grpc.ChannelCredentials | None,
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self.max_request_bytes = max_request_bytes  # that the daemon takes in one message
        given = addresses if addresses is not None else os.environ.get("FANOUTD_ADDRESS", "localhost:8081")
        listed = given.split(",") if isinstance(given, str) else list(given)
        self.addresses = [a.strip() for a in listed if a.strip()]
        if not self.addresses:
            raise ValueError("no address of a control API: it is host:port, or several, after each other")
        key = key if key is not None else os.environ.get("FANOUTD_CONTROL_KEY")
        level = ("fanoutd-api-level", API_LEVEL)
        self.metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {key}"), level) if key else (level,)
        ca = os.environ.get("FANOUTD_CONTROL_CA_FILE")
        if credentials is None and ca:
            with open(ca, "rb") as file:
                credentials = grpc.ssl_channel_credentials(file.read())
        self._credentials = credentials
        self._at = 0
        self._channel: grpc.aio.Channel | None = None
        self._old: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return self.addresses[self._at]

    @property
    def channel(self) -> grpc.aio.Channel:
        if self._channel is None:
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(self.address, OPTIONS)
            else:
                self._channel = grpc.aio.secure_channel(self.address, self._credentials, OPTIONS)
        return self._channel

    def next(self, failed: grpc.aio.Channel) -> None:
        """Goes to the next address, unless that has been done since failed was current."""
        if self._channel is not failed or len(self.addresses) == 1:
            return
        self._at = (self._at + 1) % len(self.addresses)
        self._channel = None
        # Calls that are under way may still come to their end.
        closing = asyncio.ensure_future(failed.close(grace=30))
        self._old.add(closing)
        closing.add_done_callback(self._old.discard)

    async def close(self) -> None:
        for closing in self._old:
            closing.cancel()
        if self._channel is not None:
            await self._channel.close()
            self._channel = None


async def connected(channel: grpc.aio.Channel) -> bool:
    """Waits until the channel is connected; False if it could not be. What is sent before
    that is lost with the call, and gRPC does not tell whether it was sent."""
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
            return False
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
    return True


class Backoff:
    """Pauses that grow from 100 ms to 5 s, a part of each left to chance."""

    def __init__(self) -> None:
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    async def wait(self) -> None:
        pause = min(0.1 * 2**self._failures, 5.0)
        self._failures = min(self._failures + 1, 10)
        await asyncio.sleep(pause * random.uniform(0.5, 1))
