"""`KnownIds`: looks up the ids of commands in batches before they are decided, while many of them are known.

A repeated import sends commands whose ids are in the log. Without a look-up, each of them is decided, its append fails,
and the actor is hydrated again. After a duplicate, the next commands with ids of their callers are therefore looked up
first, until so many in a row are new. The append still checks every id: a look-up only saves work.

Invariants: an actor is CHECKING while its mail waits for a look-up, and is in `_wanted` or in the look-up that runs;
an actor that left this state meanwhile, because an append failed, is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from actorium.actors.actor import Actor
from actorium.store.event_store import EventStore
from actorium.store.names import CommandRecord
from actorium.store.raised import let_through

# Commands that are looked up after the last duplicate: many for an import, few for a caller who repeats one command.
LOOK_UPS_AFTER_A_DUPLICATE = 128
# Ids in one query.
_IDS_AT_ONCE = 512


class KnownIds:
    """Looks up the ids of the commands in actors' mailboxes."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._wanted: list[Actor] = []
        self._wake: asyncio.Future[None] | None = None
        self._left = 0

    def one_found(self) -> None:
        """Look up the ids of the next commands, because one was in the log."""
        self._left = LOOK_UPS_AFTER_A_DUPLICATE

    def look_up(self, actor: Actor) -> bool:
        """Look up the ids in an actor's mail if they are probably in the log; return whether it must wait for that."""
        if not self._left:
            return False
        self._wanted.append(actor)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        return True

    async def run(self) -> None:
        """Look up ids until cancelled, those of all waiting actors at once."""
        while True:
            if not self._wanted:
                self._wake = self._loop.create_future()
                await self._wake
                self._wake = None
            actors, self._wanted = self._wanted, []
            await self._check(actors)
            for actor in actors:
                actor.ids_looked_up()

    async def _check(self, actors: list[Actor]) -> None:
        mail = [envelope for actor in actors for envelope in actor.mailbox or () if envelope.needs_look_up]
        for first in range(0, len(mail), _IDS_AT_ONCE):
            some = mail[first : first + _IDS_AT_ONCE]
            found: Mapping[str, CommandRecord] = {}
            try:
                found = await self._store.find_commands([envelope.command_id for envelope in some])
            except BaseException as raised:  # the append checks the ids, and its error reaches the callers
                let_through(raised)
            for envelope in some:
                envelope.is_looked_up = True
                envelope.first_effect = found.get(envelope.command_id)
            if found:
                self.one_found()
            else:
                self._left = max(0, self._left - len(some))
