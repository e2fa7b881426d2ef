"""`CaseKeeper`: at each start, puts into force again what the cases in the log say about followers of the log.

A follower that an open case holds is paused before it delivers its first event. The events that a case marks are
skipped by the followers that it names, however often they read the log again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from actorium.actors.hydration import replay
from actorium.correction_case import CORRECTION, CaseOpened, CorrectionCase, FollowerState, SkipMark
from actorium.corrections.impact.selection import stream_records
from actorium.runtime.component import Component
from actorium.runtime.processors.dead_letters import SkipMarks
from actorium.runtime.processors.processor import Processor
from actorium.store.codec import EventCodec
from actorium.store.event_store import EventStore
from actorium.store.events import event_type_of
from actorium.store.names import StoredEventType, StreamName
from actorium.store.tables.log_search import FindStreams

_PAGE = 1_000
OVER_KEPT = 1_000
"""How many of the cases that ended last are remembered. A state that was read before the end comes moments later."""


class CaseKeeper(Component):
    """The effect of cases on the followers of one runtime.

    stored: the shapes of the events in the log at the start; without a case among them, nothing is read.
    marks: the events that the followers skip.
    followers: the processors by the names that cases use.
    """

    def __init__(
        self,
        store: EventStore,
        codec: EventCodec,
        stored: Sequence[StoredEventType],
        marks: SkipMarks,
        followers: Mapping[str, Processor],
    ) -> None:
        self._store = store
        self._codec = codec
        self._has_cases = any(one.type == event_type_of(CaseOpened) for one in stored)
        self._marks = marks
        self.followers = followers
        self._held: dict[str, set[str]] = {}  # by follower: the cases that hold it
        self._over: dict[str, None] = {}
        self.open: dict[str, CorrectionCase] = {}
        """The cases that are not over, as last seen."""

    async def prepare(self) -> None:
        """Read the cases of the log."""
        if self._has_cases:
            async for case in all_cases(self._store, self._codec):
                self.take(case)

    def take(self, case: CorrectionCase) -> None:
        """Put into force what a case says now; a state that was read before the case was over is ignored."""
        if case.is_over:
            self._over[case.id] = None
            while len(self._over) > OVER_KEPT:
                del self._over[next(iter(self._over))]
            self.open.pop(case.id, None)
        elif case.id in self._over:
            return
        else:
            self.open[case.id] = case
        for mark in marks_of(case):
            self._marks.of(mark.follower).update(mark.positions)
        for name in case.held:
            holders = self._held.setdefault(name, set())
            processor = self.followers.get(name)
            if case.is_over:
                holders.discard(case.id)
            else:
                holders.add(case.id)
            if processor is None:
                continue
            if holders:
                processor.pause()
            else:
                processor.resume()


def marks_of(case: CorrectionCase) -> tuple[SkipMark, ...]:
    """Return the marks of a case that are in force: from the moment it is applied, permanently."""
    return case.marks if case.status in ("applying", "applied", "closed") else ()


def orders_of(case: CorrectionCase) -> list[tuple[FollowerState, str]]:
    """Return what the followers of a case must do now."""
    waits: list[tuple[FollowerState, str]] = [] if case.is_over else [("waits", name) for name in case.held]
    return [*waits, *(("skips", mark.follower) for mark in marks_of(case))]


async def all_cases(store: EventStore, codec: EventCodec, *, after: str = "") -> AsyncIterator[CorrectionCase]:
    """Yield the cases of a log in order of their ids, from the one after an id on; the store is open."""
    while True:
        streams = await store.read_rows(FindStreams(CORRECTION, _PAGE, after=after))
        for stream in streams:
            yield await case_of(store, codec, stream.id)
        if len(streams) < _PAGE:
            return
        after = streams[-1].id


async def case_of(store: EventStore, codec: EventCodec, id: str) -> CorrectionCase:
    """Return a case as the log has it; without a status if there is none with this id."""
    case = CorrectionCase(id)
    history = [record async for record in stream_records(store, StreamName(CORRECTION, id))]
    replay(case, CorrectionCase.__definition__.evolvers, codec, history)
    return case
