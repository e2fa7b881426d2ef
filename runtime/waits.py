"""Wait for one future for a limited time, as `asyncio.wait` does, but without a second future and callback."""

from __future__ import annotations

import asyncio


async def ended(waiting: asyncio.Future[bool], within_s: float) -> bool:
    """Return the value that `end` gives this future; return False if `within_s` seconds pass first."""
    timer = waiting.get_loop().call_later(within_s, end, waiting, False)
    try:
        return await waiting
    finally:
        timer.cancel()


def end(waiting: asyncio.Future[bool] | None, came: bool = True) -> None:
    """Wake the waiter of a future, if there is one."""
    if waiting is not None and not waiting.done():
        waiting.set_result(came)
