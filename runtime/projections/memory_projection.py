"""`MemoryProjection`: the work of a projection that keeps plain Python state.

Invariants: the state is the fold of the events up to the checkpoint's position, without those held back. It is rebuilt
from its saved state, or from the beginning of the log, at each start and whenever a handler failed half-way through a
change; until the rebuild is done, no query sees it.
"""

from __future__ import annotations

import copy

import msgspec

from actorium.runtime.log.log_reader import LogReader, Unread
from actorium.runtime.processors.checkpoint import Advance, Checkpoint
from actorium.runtime.processors.dead_letters import DeadLetters
from actorium.runtime.processors.delivery import Results
from actorium.runtime.processors.event_handlers import arguments
from actorium.runtime.projections.projection import Projection
from actorium.runtime.projections.row_fold import Recorded
from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.events import Event, RecordedEvent, as_json
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through, text_of
from actorium.store.shapes.sameness import first_change
from actorium.store.tables.own_rows import KeptState, KeptStateRemoval, ReadKeptState

log = logger("actorium.runtime")


class MemoryCheckpoint(Checkpoint):
    """The progress of an in-memory projection; only its dead letters and, at intervals, its state are saved."""

    async def load(self) -> int:
        """Read the dead letters; the position is that of the state in memory."""
        self.letters = DeadLetters(await self._store.dead_letters(self.name), self._skipped)
        self.position = 0
        return 0

    async def advance(self, to: Advance) -> None:
        """Move in memory; write the data that must survive the process."""
        if to.settled:
            # A saved state lacks the event that is handled now, and would never get it: drop it in the same step.
            to = msgspec.structs.replace(to, changes=[*to.changes, KeptStateRemoval(self.name)])
        if to.is_bare:
            self.move_in_memory(to.position)
            return
        try:
            await super().advance(to)
        except BaseException:
            self.ready.clear()  # the state may be ahead of the log: hide it until the outcome is known
            raise


class MemoryProjection:
    """Applies events to a Python object."""

    def __init__(
        self, projection: type[Projection], checkpoint: MemoryCheckpoint, store: EventStore, log_reader: LogReader
    ) -> None:
        self.definition = projection.__definition__
        self.event_classes = frozenset(self.definition.handlers)
        self.instance = projection()
        self._class = projection
        self._checkpoint = checkpoint
        self._store = store
        self._log_reader = log_reader
        self._kept_at = 0
        self._has_caught_up = False
        self._copy: tuple[int, int, Projection] | None = None

    def apply(self, recorded: RecordedEvent[Event], results: list[Recorded]) -> None:
        """Let the handler change the state."""
        handler = self.definition.handler_of(type(recorded.event))
        try:
            handler.method(self.instance, *arguments(handler, recorded, {}))
        except BaseException:
            self._checkpoint.ready.clear()  # it may be half changed; `restore` admits queries again
            raise

    def written(self, results: list[Recorded]) -> Results:
        """Return nothing: a handler changes the state in memory only."""
        return Results([], [])

    async def restore(self, position: int) -> None:
        """Rebuild the state up to a position: a failed handler may have left it half changed."""
        self._checkpoint.ready.clear()
        reached = await self._begin_at_copy(position)
        while reached < position:
            found = await self._log_reader.after(reached, self.event_classes)
            if found.position == reached:
                break
            for delivered in found.events:
                if isinstance(delivered, Unread) or delivered.position > position:
                    continue
                if not self._checkpoint.letters.hold_back(delivered):
                    self.apply(delivered, [])
            reached = found.position
        self._copy = (position, self._checkpoint.letters.settlements, copy.deepcopy(self.instance))
        if self._has_caught_up:
            self._checkpoint.ready.set()

    async def _begin_at_copy(self, position: int) -> int:
        """Start from the copy that the last restore left, if it fits, so that retries start from the same state."""
        if self._copy is not None:
            place, settlements, state = self._copy
            if place <= position and settlements == self._checkpoint.letters.settlements:
                self.instance = copy.deepcopy(state)
                return place
        return await self._begin()

    async def prepare(self) -> None:
        """Load the saved state, if there is one of this version, and continue from it."""
        self._checkpoint.ready.clear()
        self._has_caught_up = False
        self._copy = None
        await self._checkpoint.load()
        self._checkpoint.move_in_memory(await self._begin())

    async def caught_up(self) -> None:
        """Let queries see the state, and save it if it is time."""
        self._has_caught_up = True
        self._checkpoint.ready.set()
        self._copy = None
        every = self._class.snapshot_every
        if every and self._checkpoint.position - self._kept_at >= every:
            await self._keep()

    async def reset(self) -> None:
        """Start again from the first event, with nothing parked or discarded."""
        letters = self._checkpoint.letters
        forget = [KeptStateRemoval(self._checkpoint.name)]
        await self._checkpoint.save(0, changes=forget, settled=[*letters.parked(), *letters.discarded()])
        letters.forget_all()
        self._copy = None
        self._fresh()

    def _fresh(self) -> None:
        self.instance = self._class()
        self._kept_at = 0

    async def _begin(self) -> int:
        """Load the saved state or an empty one; return its position."""
        self._fresh()
        if not self._class.snapshot_every:
            return 0
        fingerprint = self.definition.handlers_fingerprint()
        if await self._store.load_checkpoint(self._handlers_name) != fingerprint:
            # The saved state may come from other handlers: in one step, remove it and save the new fingerprint.
            forget = [KeptStateRemoval(self._checkpoint.name)]
            await self._checkpoint.writer(SaveCheckpoint(self._handlers_name, fingerprint, changes=forget))
            return 0
        found = await self._store.read_rows(ReadKeptState(self._checkpoint.name, self.definition.version))
        try:
            for kept in found:
                if kept.position <= self._log_reader.log_tail.position:  # otherwise it was folded from a longer log
                    self.instance = msgspec.json.decode(kept.state, type=self._class)
                    self._kept_at = kept.position
        except BaseException as raised:
            let_through(raised)
            log.info("projection_state_discarded", projection=self._checkpoint.name, error=text_of(raised))
            self._fresh()
        return self._kept_at

    @property
    def _handlers_name(self) -> str:
        return f"{self._checkpoint.name} handlers"

    async def _keep(self) -> None:
        position = self._checkpoint.position
        try:
            state = as_json(self.instance)
            change = first_change(self.instance, msgspec.json.decode(state, type=self._class))
            reason = "" if change is None else f"{change.name}={change.before} comes back from JSON as {change.after}"
        except BaseException as raised:
            let_through(raised)
            reason = error_text(raised)
        if reason:
            log.warning("projection_state_not_saved", projection=self._checkpoint.name, reason=reason)
            self._kept_at = position
            return
        kept = KeptState(self._checkpoint.name, self.definition.version, position, state)
        await self._checkpoint.writer(SaveCheckpoint(self._checkpoint.name, position, changes=[kept]))
        self._kept_at = position
