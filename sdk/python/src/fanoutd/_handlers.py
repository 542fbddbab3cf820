"""Calling the handlers of an application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def outcome(call: Awaitable[T]) -> T:
    """What a handler returns. That something it awaited was cancelled is a failure of the handler,
    as any exception is; that the task it runs in is cancelled is none, as far as this Python tells."""
    try:
        return await call
    except asyncio.CancelledError as err:
        cancelling = getattr(asyncio.current_task(), "cancelling", None)  # from Python 3.11 on
        if cancelling is not None and cancelling() > 0:
            raise
        raise RuntimeError("what the handler awaited was cancelled") from err
