"""Computes the head of a log, and compares a log with heads that were kept elsewhere and with its stored chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from actorium.store.chain import CHAIN, SEGMENT_EVENTS, HashChain, read_link
from actorium.store.errors import ConfigurationError, DamagedLog, VersionGap
from actorium.store.event_store import EventStore
from actorium.store.events import utc_of
from actorium.verification.heads import LogHead

_PAGE_EVENTS = 1_024

Told = Callable[[int], None] | None


class Verification(msgspec.Struct, frozen=True):
    """What a verification found.

    end: the position of the last event of the log.
    covered: the position of the last head that the log matches; 0 if there is none.
    linked: the position of the last link of the stored chain that the log matches; 0 if there is none.
    problem: what is wrong; empty if nothing is.
    first, last: the first event that differs is at one of these positions; 0 if no event differs.
    """

    end: int
    covered: int
    linked: int
    problem: str = ""
    first: int = 0
    last: int = 0

    def describe(self) -> str:
        """Return the problem with its place, on one line; empty if there is none."""
        if not self.first:
            return self.problem
        where = f"at position {self.first:,}"
        if self.first != self.last:
            where = f"between the positions {self.first:,} and {self.last:,}"
        return f"{self.problem}; the first difference is {where}"


async def head_of(store: EventStore, told: Told = None, *, after: LogHead | None = None) -> LogHead:
    """Return the head of a log, not signed.

    With a stored chain, only the newest events are read: those after its last link but one, or after an earlier head.

    store: open; it may be open read-only, beside its application.
    told: called with the position reached, after each page of events.
    after: an earlier head of the log, which the log must still match.

    Raises:
        ConfigurationError: the log is empty.
        DamagedLog: the log does not match the earlier head or the stored chain, or an event is damaged.
    """
    kept = await store.load_checkpoint(CHAIN)
    end = await store.head()
    if end.position == 0:
        raise ConfigurationError(f"the log is empty, so it has no head: {store.describe()}")
    name = HashChain()
    name.add(await store.read_log(0, 1))
    expected: dict[int, tuple[str, str]] = {}
    if kept and (last := await read_link(store, kept)) is not None:
        expected[kept] = (last.hash, "the link of the stored chain")
    start = kept - SEGMENT_EVENTS
    if after is not None:
        if after.log != name.hash:
            raise DamagedLog("the earlier head is of another log, or the first event of this one has changed")
        expected[after.position] = (after.hash, "the earlier head")
        start = min(start, after.position // SEGMENT_EVENTS * SEGMENT_EVENTS)
    chain = HashChain(await read_link(store, start) if start > 0 else None)
    for position in sorted({*expected, end.position}):
        if position > end.position:
            raise DamagedLog(f"the log ends at position {end.position}, before {expected[position][1]} at {position}")
        await _read_up_to(store, chain, position, told)
        hash_, what = expected.get(position, (chain.hash, ""))
        if chain.hash != hash_:
            raise DamagedLog(f"the log does not match {what} at position {position}: run `actorium verify`")
    recorded_at = utc_of(end.recorded_us).isoformat()
    return LogHead(log=name.hash, position=end.position, hash=chain.hash, recorded_at=recorded_at)


async def _read_up_to(store: EventStore, chain: HashChain, position: int, told: Told) -> None:
    while chain.position < position:
        records = await store.read_log(chain.position, min(_PAGE_EVENTS, position - chain.position))
        if not records:
            raise DamagedLog(f"the events after position {chain.position} are missing")
        chain.add(records)
        if told is not None:
            told(chain.position)


async def verify(store: EventStore, heads: Sequence[LogHead] = (), told: Told = None) -> Verification:
    """Read the whole log, and compare it with heads that were kept elsewhere and with its stored chain.

    store: open; it may be open read-only, beside its application. An SQLite log may be open with `verified=False`.
    heads: any number, in any order. Their signatures are not checked here: see `require_signature`.
    told: called with the position reached, after each page of events.

    Raises ConfigurationError if there is neither a head nor a stored chain.
    """
    kept = await store.load_checkpoint(CHAIN)
    if not heads and not kept:
        raise ConfigurationError(
            f"nothing to compare with: give a head that was kept elsewhere, or keep a chain with "
            f"Settings(hash_chain=True); the log has none: {store.describe()}"
        )
    end = (await store.head()).position
    return await _Comparison(store, heads, kept, end).result(told)


class _Comparison:
    """One pass over a log.

    _covered, _linked: as in `Verification`.
    _broken: the position of the first link that does not match; 0 if there is none.
    _mended: whether a later link matches, so that only the stored link is wrong.
    """

    def __init__(self, store: EventStore, heads: Sequence[LogHead], kept: int, end: int) -> None:
        self._store = store
        self._heads = sorted(heads, key=lambda head: head.position, reverse=True)  # the next one is the last
        self._kept = kept
        self._end = end
        self._chain = HashChain()
        self._covered = self._linked = self._broken = 0
        self._mended = False

    async def result(self, told: Told) -> Verification:
        """Read the log up to its end, or to the first difference that needs no later event to be understood."""
        while self._chain.position < self._end:
            after = self._chain.position
            stop = self._heads[-1].position if self._heads else self._end
            limit = 1 if after == 0 else min(_PAGE_EVENTS, self._end - after, stop - after)
            try:
                records = await self._store.read_log(after, limit)
            except DamagedLog:
                return await self._damaged(after, limit)
            if not records:
                return self._found(f"the events after position {after} are missing", after + 1, self._end)
            for link in self._chain.add(records):
                await self._compare_link(link.position, link.hash)
            if (found := self._compare_heads()) is not None:
                return found
            if told is not None:
                told(self._chain.position)
        return self._at_the_end()

    async def _compare_link(self, position: int, hash_: str) -> None:
        if position > self._kept:
            return
        stored = await read_link(self._store, position)
        if stored is None or stored.hash != hash_:
            self._broken = self._broken or position
        elif self._broken:
            self._mended = True
        else:
            self._linked = position

    def _compare_heads(self) -> Verification | None:
        chain = self._chain
        if chain.position == 1 and any(head.log != chain.hash for head in self._heads):
            return self._found("the head is of another log, or the first event of this one has changed", 1, 1)
        while self._heads and self._heads[-1].position == chain.position:
            head = self._heads.pop()
            if head.hash != chain.hash:
                why = f"the log does not match the head at position {head.position}"
                return self._found(why, *self._between(head.position))
            self._covered = head.position
        return None

    def _at_the_end(self) -> Verification:
        beyond = max((head.position for head in self._heads), default=0)
        if beyond > self._end:
            why = f"the log ends at position {self._end}, before the head at position {beyond}: events were removed"
            return self._found(why, *self._between(beyond))
        if self._broken and (self._mended or self._broken <= self._covered):
            return self._found(f"the stored link at position {self._broken} has changed, but no event before it", 0, 0)
        if self._broken:
            why = "the log does not match the stored chain: an event has changed, or the chain"
            return self._found(why, *self._between(self._broken))
        if self._kept > self._end:
            why = f"the log ends at position {self._end}, before the end of the stored chain: events were removed"
            return self._found(why, *self._between(self._kept))
        return self._found("", 0, 0)

    def _between(self, last: int) -> tuple[int, int]:
        """Return the positions between which the first difference is, if the log differs at a later one."""
        first = self._covered + 1
        if self._broken and not self._mended:
            return max(first, self._broken - SEGMENT_EVENTS + 1), min(last, self._broken)
        return first, last

    async def _damaged(self, after: int, limit: int) -> Verification:
        """Return the finding for the first event that cannot be read after a position."""
        while True:
            try:
                after += len(await self._store.read_log(after, limit))
            except DamagedLog as error:
                if limit == 1:
                    last = error.position - 1 if isinstance(error, VersionGap) and error.position else after + 1
                    return self._found(str(error), after + 1, last)
                limit = max(1, limit // 2)

    def _found(self, problem: str, first: int, last: int) -> Verification:
        return Verification(self._end, self._covered, self._linked, problem, first, last)
