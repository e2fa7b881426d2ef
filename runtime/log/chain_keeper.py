"""`ChainKeeper`: stores the links of the log's hash chain, behind the commands.

Invariants: a link and the checkpoint that counts it are written together; links are stored without a gap; no command
waits for a link; at most `_LINKS_MAX` links wait to be stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.log.log_tail import LogTail
from actorium.runtime.retry import Retry
from actorium.store.chain import CHAIN, ChainLink, HashChain, event_bytes, kept_link, read_link
from actorium.store.errors import CorruptRow
from actorium.store.event_store import Append, Appended, SaveCheckpoint
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through

log = logger("actorium.runtime")

_PAGE_EVENTS = 1_024
_LINKS_MAX = 1_024
_LINKS_PER_SAVE = 16
# A damaged event holds up the chain until a person has seen to it.
_RETRY = Retry(attempts=1, backoff_s=0.5, backoff_max_s=60.0)


class ChainKeeper:
    """A follower of the log that hashes its events: those of this process as they are committed, others from the log.

    save: writes a checkpoint with the next save.
    log_tail: tells of commits, and of the end of the log.
    """

    name = CHAIN

    def __init__(
        self, environment: RuntimeEnvironment, save: Callable[[SaveCheckpoint], Awaitable[None]], log_tail: LogTail
    ) -> None:
        self._store = environment.store
        self._source = environment.source
        self._poll_s = environment.settings.poll_s
        self._save = save
        self._log_tail = log_tail
        self._chain = HashChain()
        self._links: list[ChainLink] = []  # not stored yet

    async def run(self) -> None:
        """Follow the log until cancelled."""
        attempt = 0
        try:
            while True:
                try:
                    self._links.clear()
                    self._chain = await self._loaded()
                    self._log_tail.listener = self._committed
                    while True:
                        await self._catch_up()
                        attempt = 0
                        # Stored once per `poll_s`, not per commit: it costs the commands no wake-up of their own.
                        await asyncio.sleep(self._poll_s)
                except BaseException as raised:
                    let_through(raised)
                    attempt += 1
                    log.warning("chain_waits", error=error_text(raised), attempt=attempt)
                    self._log_tail.listener = None
                    await asyncio.sleep(_RETRY.wait_s(attempt, self._source))
        finally:
            self._log_tail.listener = None

    async def mirror(self) -> None:
        """Wait until cancelled: another node follows the log."""
        await asyncio.get_running_loop().create_future()

    async def _loaded(self) -> HashChain:
        """Return the chain up to the last stored link; if that is missing, the chain begins again."""
        position = await self._store.load_checkpoint(CHAIN)
        if position > (end := self._log_tail.position):
            raise CorruptRow(
                f"the hash chain goes to position {position}, but the log ends at {end}: events are missing from its "
                "end; run `actorium verify`, and restore a backup"
            )
        return HashChain(await read_link(self._store, position) if position else None)

    def _committed(self, requests: Sequence[Append], outcome: Appended) -> None:
        """Add a commit, unless earlier events are to be read from the log first."""
        position, recorded_us = self._chain.position, outcome.recorded_us
        events: list[bytes] = []
        for request, first in zip(requests, outcome.outcomes, strict=True):
            if type(first) is not int:
                continue
            if first != position + 1 or len(self._links) >= _LINKS_MAX:
                break
            stream, version = request.stream, request.expected_version
            for event in request.events:
                version += 1
                position += 1
                events.append(event_bytes(event, stream, version, position, recorded_us))
        self._links += self._chain.add_bytes(events)

    async def _catch_up(self) -> None:
        """Read the events that were not added as they were committed, and store all links."""
        while True:
            links = self._links[:_LINKS_PER_SAVE]
            missing = self._log_tail.position - self._chain.position
            if missing and len(links) < _LINKS_PER_SAVE:
                records = await self._store.read_log(self._chain.position, min(missing, _PAGE_EVENTS))
                if not records:
                    raise CorruptRow(f"the events after position {self._chain.position} are missing from the log")
                self._links += self._chain.add(records)
            elif links:
                await self._save(SaveCheckpoint(CHAIN, links[-1].position, changes=[kept_link(link) for link in links]))
                del self._links[: len(links)]
            else:
                return
