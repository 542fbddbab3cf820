from __future__ import annotations

import asyncio


async def until(done, what: str, seconds: float = 30.0):
    """Asks until there is an answer, and returns it."""
    async with asyncio.timeout(seconds) if hasattr(asyncio, "timeout") else _Never():
        while True:
            answer = done()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.01)


class _Never:
    """Python 3.10 has no asyncio.timeout; pytest's own limit ends a test there."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None
