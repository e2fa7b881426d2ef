"""`Lease`: takes the log for one store, keeps it, and notices when it is lost.

Invariants: `owned` is set while this store may write, as far as it knows; `lost` holds the reason once it may not.
`_held_until_s` is never later than the end of the lease on the server: it is counted from before a renewal was sent.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from actorium.store.errors import ActoriumError, Fenced, StoreInUse, StoreUnavailable
from actorium.store.log import logger
from actorium.store.postgresql import ownership
from actorium.store.postgresql.connections.patience import until_known
from actorium.store.postgresql.connections.sessions import Connection, Session
from actorium.store.postgresql.ownership import Holding, Ownership, fenced
from actorium.store.raised import error_text

T = TypeVar("T")

log = logger("actorium.store")

_RENEWALS_PER_LEASE = 4
_LOOK_AGAIN_S = 0.1  # who stands by looks this often
# A connection that broke comes back within a look; only a process that ended stays away for two.
_LOOKS_WITHOUT_SESSION = 2
_GIVE_BACK_S = 2.0


class Lease:
    """The right of one store to write, kept by a connection of its own."""

    def __init__(self, session: Session, *, name: str, lease_s: float, place: str) -> None:
        self._session = session
        self._name = name
        self._lease_s = lease_s
        self._place = place
        self.owned: Ownership | None = None
        self.lost: Fenced | None = None
        self._has_ended = asyncio.Event()
        self._is_due = asyncio.Event()  # a renewal, at once
        self._has_changed = asyncio.Event()  # it was renewed, lost or given back
        self._held_until_s = 0.0
        session.on_closed = self._connection_closed
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, *, waits: bool, patience_s: float) -> None:
        """Take the log; if another runtime holds it, raise StoreInUse, or wait until it is gone.

        patience_s: how long the server may be away meanwhile, in seconds.
        """
        looks_without_session = 0

        async def reached(attempt: Callable[[], Awaitable[T]]) -> T:
            what = f"cannot take {self._place}"
            return await until_known(attempt, goes_on=lambda: True, patience_s=patience_s, what=what)

        while True:
            holding = await reached(lambda: self._session.run(ownership.look))
            looks_without_session = 0 if holding.has_session else looks_without_session + 1
            if not holding.name or looks_without_session >= _LOOKS_WITHOUT_SESSION:
                # If it is repeated after all, it finds other writers than those of `holding`, and takes nothing.
                if await reached(partial(self._take, holding)):
                    return
            elif holding.has_session and not waits:
                raise StoreInUse(
                    f"{self._place} is in use by {holding.name}: stop what runs there, or let this runtime wait with "
                    "?standby=wait"
                )
            await asyncio.sleep(min(_LOOK_AGAIN_S, self._lease_s / _RENEWALS_PER_LEASE))

    def _connection_closed(self) -> None:
        # Others may take over once they miss the connection, so only a renewal tells whether they have.
        self._held_until_s = 0.0
        self._is_due.set()

    async def _take(self, holding: Holding) -> bool:
        sent_s = asyncio.get_running_loop().time()
        self.owned = await self._session.run(lambda c: ownership.take(c, holding, self._name, self._lease_s))
        self._held_until_s = sent_s + self._lease_s
        if self.owned is None:
            return False
        self._renewing = asyncio.get_running_loop().create_task(self._renew_until_lost())
        return True

    def entered(self, owned: Ownership, sent_s: float) -> None:
        """Hold the log as one of several nodes, who renew their leases themselves; `sent_s`: when that was asked."""
        self.owned = owned
        self.renewed(sent_s)

    def renewed(self, sent_s: float) -> None:
        """Note a renewal that was sent at a loop time."""
        self._held_until_s = sent_s + self._lease_s
        self._announce()

    async def _renew_until_lost(self) -> None:
        pause_s = usual_s = self._lease_s / _RENEWALS_PER_LEASE
        logged: set[type[BaseException]] = set()
        while self.owned is not None:
            try:
                async with asyncio.timeout(pause_s):
                    await self._is_due.wait()
            except TimeoutError:
                pass
            self._is_due.clear()
            try:
                kept = await self._session.run(self._renew)
                pause_s = usual_s
                logged.clear()
            except Fenced as reason:
                self.lose(reason)
                return
            except Exception as error:
                if type(error) not in logged:
                    logged.add(type(error))
                    log.warning("store.lease_not_renewed", place=self._place, error=error_text(error))
                self._is_due.clear()  # it was this attempt that closed the connection
                pause_s = min(_LOOK_AGAIN_S, usual_s)
                continue
            if not kept and self.owned is not None:
                self.lose(fenced(self.owned.writer))

    async def _renew(self, connection: Connection) -> bool:
        owned, sent_s = self.owned, asyncio.get_running_loop().time()
        if owned is None or not await ownership.renew(connection, owned, self._lease_s):
            return False
        self.renewed(sent_s)
        return True

    def _announce(self) -> None:
        self._has_changed.set()
        self._has_changed.clear()

    @property
    def is_held(self) -> bool:
        """Whether the lease has not run out by the clock of this process."""
        return self.owned is not None and asyncio.get_running_loop().time() < self._held_until_s

    async def confirm(self) -> None:
        """Return once the lease is held; raise Fenced if the log is lost."""
        while not self.is_held:
            if self.lost is None and self.owned is None:
                raise StoreUnavailable(f"{self._place} is closed: open() the store first")
            self.require()
            self._is_due.set()
            await self._has_changed.wait()

    async def replace(self, connection: Connection) -> Ownership:
        """Continue under another writer number, so that nothing that was sent before can be written any more."""
        owned = self.require()
        self.owned = await ownership.replace(connection, owned)
        return self.owned

    def require(self) -> Ownership:
        """Return what this store owns; raise Fenced if it lost the log."""
        if self.lost is not None:
            raise copy.copy(self.lost)  # each raise adds to the traceback of the error that it raises
        assert self.owned is not None, "a store that is open to write owns the log until it loses it"
        return self.owned

    def lose(self, reason: Fenced) -> None:
        """Note that this store may not write any more."""
        if self.lost is None:
            log.error("store.log_lost", place=self._place, error=reason.message)
            self.owned, self.lost = None, reason
            self._has_ended.set()
            self._announce()

    async def until_lost(self) -> Fenced:
        """Return the reason once the log is lost."""
        await self._has_ended.wait()
        assert self.lost is not None, "the reason is set before the event"
        return self.lost

    async def give_back(self) -> None:
        """Let the next runtime have the log, and close the connection."""
        owned, self.owned = self.owned, None
        self._announce()
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        if owned is not None:
            try:
                async with asyncio.timeout(_GIVE_BACK_S):
                    await self._session.run(lambda c: ownership.give_back(c, owned))
            except (ActoriumError, Exception) as error:
                # The lease runs out, or the connection's end is noticed.
                log.warning("store.lease_not_given_back", place=self._place, error=error_text(error))
        await self._session.close()
