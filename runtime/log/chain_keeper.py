"""`ChainKeeper`: stores the links of the log's hash chain, behind the commands.

Invariants: a link and the checkpoint that counts it are written together; links are stored without a gap; no command
waits for a link.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.retry import Retry
from actorium.store.chain import CHAIN, SEGMENT_EVENTS, HashChain, kept_link, read_link
from actorium.store.errors import CorruptRow
from actorium.store.event_store import SaveCheckpoint
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through

log = logger("actorium.runtime")

_SEGMENTS_PER_SAVE = 4
# A damaged event holds up the chain until a person has seen to it.
_RETRY = Retry(attempts=1, backoff_s=0.5, backoff_max_s=60.0)


class ChainKeeper:
    """A follower of the log that hashes its events, a segment at a time.

    save: writes a checkpoint with the next save.
    """

    name = CHAIN

    def __init__(
        self, environment: RuntimeEnvironment, save: Callable[[SaveCheckpoint], Awaitable[None]], end: Callable[[], int]
    ) -> None:
        self._store = environment.store
        self._source = environment.source
        self._poll_s = environment.settings.poll_s
        self._save = save
        self._end = end

    async def run(self) -> None:
        """Follow the log until cancelled."""
        attempt = 0
        while True:
            try:
                chain = await self._loaded()
                while True:
                    # Hashed once per `poll_s`, not per commit: it costs the commands no wake-up of their own.
                    if not await self._step(chain):
                        await asyncio.sleep(self._poll_s)
                    attempt = 0
            except BaseException as raised:
                let_through(raised)
                attempt += 1
                log.warning("chain_waits", error=error_text(raised), attempt=attempt)
                await asyncio.sleep(_RETRY.wait_s(attempt, self._source))

    async def mirror(self) -> None:
        """Wait until cancelled: another node follows the log."""
        await asyncio.get_running_loop().create_future()

    async def _loaded(self) -> HashChain:
        """Return the chain up to the last stored link; a missing link means that it begins again."""
        position = await self._store.load_checkpoint(CHAIN)
        if position > (end := self._end()):
            raise CorruptRow(
                f"the hash chain goes to position {position}, but the log ends at {end}: events are missing from its "
                "end; run `actorium verify`, and restore a backup"
            )
        return HashChain(await read_link(self._store, position) if position else None)

    async def _step(self, chain: HashChain) -> bool:
        """Store the links of some complete segments; return False if there are none."""
        complete = (self._end() - chain.position) // SEGMENT_EVENTS
        if not complete:
            return False
        links = []
        until = chain.position + min(complete, _SEGMENTS_PER_SAVE) * SEGMENT_EVENTS
        while chain.position < until:
            links += chain.add(await self._store.read_log(chain.position, until - chain.position))
        await self._save(SaveCheckpoint(CHAIN, chain.position, changes=[kept_link(link) for link in links]))
        return True
