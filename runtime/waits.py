"""Waiting for one future for a limited time: what `asyncio.wait` does, without a second future and a callback more."""

from __future__ import annotations

import asyncio


async def ended(waiting: asyncio.Future[bool], within_s: float) -> bool:
    """Return with what somebody gives `end` for this future; False when nobody did within so many seconds."""
    timer = waiting.get_loop().call_later(within_s, end, waiting, False)
    try:
        return await waiting
    finally:
        timer.cancel()


def end(waiting: asyncio.Future[bool] | None, came: bool = True) -> None:
    """Let who waits for a future go on, if somebody does."""
    if waiting is not None and not waiting.done():
        waiting.set_result(came)
