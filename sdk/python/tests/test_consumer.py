"""What a consumer keeps of its handlers, without a daemon."""

from __future__ import annotations

import asyncio

import fanoutd
from fanoutd import v1


async def test_a_delivery_that_comes_again_is_kept_when_the_last_handler_ends_late():
    client = fanoutd.Client("127.0.0.1:1")
    consumer = client.consumer("group")
    cancelled, clean_up = [], asyncio.Event()

    async def handle(raw: v1.Event) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(raw.attempt)
            await clean_up.wait()
            raise

    consumer._handle = handle  # type: ignore[method-assign]
    consumer.on_event(v1.Event(delivery_id="c.1", attempt=1))
    await asyncio.sleep(0)
    consumer.on_lost()
    await asyncio.sleep(0)
    first = consumer._tasks["c.1"]
    consumer.on_event(v1.Event(delivery_id="c.1", attempt=2))
    await asyncio.sleep(0)
    clean_up.set()
    await asyncio.wait([first])
    consumer.on_cancelled(["c.1"], 0)
    await asyncio.sleep(0)
    assert cancelled == [1, 2]
    await asyncio.sleep(0)
    assert not consumer._tasks
    await client.close()
