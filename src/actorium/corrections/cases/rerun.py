"""Runs a reaction again for an event of a case, under a key of the case.

Invariants: the key is the same on each attempt and differs from that of the first delivery, with which the wrong effect
took place; an event that the reaction will still receive is not run, because its effect would take place twice.
"""

from __future__ import annotations

import asyncio

from actorium.correction_case import CORRECTION
from actorium.runtime.commands.derived_ids import effect
from actorium.runtime.commands.inherited import because_of
from actorium.runtime.processors.processor import Processor
from actorium.runtime.processors.reactions import Reaction
from actorium.store.events import Event, RecordedEvent
from actorium.store.names import StreamName, event_id
from actorium.store.raised import error_text, let_through
from actorium.store.source import Source


async def rerun(
    reaction: Reaction, processor: Processor, recorded: RecordedEvent[Event], case: str, source: Source
) -> str:
    """Call a reaction with an event, with its retries; return the error of the last attempt, or an empty text.

    Each attempt runs in the processor's task, between two pages, so that it is certain which events are handled.
    """
    key = reaction.key(recorded, f"correction/{case}/rerun/")
    cause = event_id(StreamName(CORRECTION, case), 1)

    async def attempt() -> tuple[str, bool]:
        """Return the error, and whether another attempt makes sense."""
        if recorded.position > processor.position:
            return f"{processor.name} has not reached this event yet, and will handle it", False
        if processor.checkpoint.letters.hold_back(recorded):
            return f"{processor.name} has not handled this event: it is parked, held back or skipped", False
        try:
            with effect(key), because_of(f"correction/{case}", cause, recorded.metadata.headers):
                await reaction.call(recorded, key)
        except BaseException as raised:
            let_through(raised)
            return error_text(raised), True
        return "", False

    number = 1
    while True:
        error, again = await processor.between_pages(attempt)
        if not again or number >= reaction.retry.attempts:
            return str(error)
        await asyncio.sleep(reaction.retry.wait_s(number, source))
        number += 1
