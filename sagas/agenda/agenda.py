"""`Agenda`: decides what is due, and when: the open intents of all sagas, their deadlines, and submitted commands.

It follows the events that record intents, starts the intents that are due, and keeps the rest in a table by due time.
So a million of them cost no memory, and a start reads only those that are due soon. The table is a projection of the
log that may lag: events after its checkpoint are read again at the start. An intent that ends before the table is
written never enters it. Nothing is carried out while the log is being read again; once that is done, the agenda starts
the intents that are still open.

Invariants: every intent that was open at the checkpoint has its rows; `_changes` holds the changes since then; every
    intent that is due within the horizon is in `_due` or has been started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec.structs import astuple

from actorium.runtime.instrument import Instruments
from actorium.runtime.log.log_reader import Delivered, Unread
from actorium.runtime.settings import Settings
from actorium.runtime.waits import end, ended
from actorium.sagas.agenda.agenda_checkpoint import AgendaCheckpoint
from actorium.sagas.agenda.agenda_tables import AgendaTables
from actorium.sagas.agenda.due_queue import ALARM, DEADLINE, RUN, DueQueue, Row, row_of
from actorium.sagas.execution.end_waiters import EndWaiters
from actorium.sagas.execution.intent_runner import IntentRunners
from actorium.sagas.execution.notices import SagaNotices, observe_steps
from actorium.sagas.execution.services import Services
from actorium.sagas.model.due_times import within_calendar
from actorium.sagas.model.events import (
    SAGA_EVENTS,
    CommandAnswered,
    SagaCompleted,
    SagaFailed,
    SagaStarted,
    SagaUndone,
    StartIgnored,
    StepFailed,
    StepIssued,
    StepSucceeded,
)
from actorium.sagas.model.intents import IntentKey, issued_intent
from actorium.sagas.model.submissions import (
    SUBMISSION,
    CommandSubmitted,
    SubmissionCancelled,
    SubmissionConcluded,
    SubmissionHastened,
)
from actorium.store.event_store import DeadLetter
from actorium.store.events import Event, RecordedEvent
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through
from actorium.store.tables.own_rows import AgendaRemoval, AgendaRow, ReadDue

log = logger("actorium.sagas")

_LOOK_EVERY_US = 5_000_000  # how often the table is read, unless the clock is read less often
_LOOKS_AHEAD = 4  # rows due within this many looks are held in memory, so that none is late
_ROWS_PER_READ, _CHANGES_MAX = 1_000, 4_096
_SAVE_EVERY_S = 0.5


class _Live(msgspec.Struct, gc=False):
    """An intent issued in this run: how many of its commands are open, and whether it has a deadline."""

    waiting: int
    has_deadline: bool


class Agenda:
    """The work and the delivery of the processor that follows intents."""

    event_classes: frozenset[type[Event]] = frozenset((*SAGA_EVENTS, *AgendaTables.submission_events))

    def __init__(
        self,
        checkpoint: AgendaCheckpoint,
        services: Services,
        runners: IntentRunners,
        due: DueQueue,
        tables: AgendaTables,
        end_waiters: EndWaiters,
        notices: SagaNotices,
        instruments: Instruments,
        *,
        head: Callable[[], int],
        settings: Settings,
    ) -> None:
        self._checkpoint = checkpoint
        self._store, self._source, self._dispatcher = services.store, services.source, services.dispatcher
        self._runners = runners
        self._tables = tables
        self._end_waiters = end_waiters
        self._notices = notices
        self._head = head
        self._takes: dict[type[Event], Callable[..., None]] = {
            SagaStarted: self._saga_started,
            StartIgnored: self._start_ignored,
            StepIssued: self._issued,
            CommandAnswered: self._answered,
            StepSucceeded: self._intent_ended,
            StepFailed: self._intent_ended,
            SagaFailed: self._failed,
            SagaCompleted: self._saga_ended,
            SagaUndone: self._saga_ended,
            CommandSubmitted: self._submitted,
            SubmissionHastened: self._submitted,
            SubmissionCancelled: self._concluded,
            SubmissionConcluded: self._concluded,
        }
        self._tick_s = poll_s = settings.poll_s  # the wall clock may jump, so it is read at least this often
        self._look_every_us = max(_LOOK_EVERY_US, round(poll_s * 1_000_000))
        self._horizon_us = _LOOKS_AHEAD * self._look_every_us
        self._changes: dict[Row, int | None] = {}  # rows to write, with their time; None: remove
        self._stale: set[Row] = set()  # rows to write that replace one that the table may still have
        self._live: dict[IntentKey, _Live] = {}
        self._due = due
        self._left_out = False  # some rows due soon had no room in memory; they are in the table
        self._position = 0
        self._looked_us = 0
        self._replay_to = 0
        self._saving = asyncio.Lock()
        self._wake: asyncio.Future[bool] | None = None
        self.started = asyncio.Event()
        observe_steps(self._takes, instruments, self.started.is_set)

    @property
    def position(self) -> int:
        """The position up to which the agenda has read the log."""
        return self._position

    # --- following the log ----------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Load the due rows (at the first start: create empty tables); after an error, go back to the saved state."""
        self.started.clear()
        async with self._saving:  # otherwise rows being written would be unknown to the state that is loaded
            self._forget()
            await self._checkpoint.load()
            if self._checkpoint.position == 0:
                await self._checkpoint.begin()
            self._checkpoint.saved_position = self._checkpoint.position
            self._position = self._checkpoint.position
            self._replay_to = self._head()
        await self._look()

    async def caught_up(self) -> None:
        """Start carrying out intents, now that all recorded events are known."""
        if not self.started.is_set():
            self.started.set()
            self._awaken()

    async def reset(self) -> None:
        """Rebuild the tables from the log; open intents are carried out when its end is reached."""
        self.started.clear()
        async with self._saving:
            self._replay_to = self._head()
            self._forget()
            await self._checkpoint.clear()
            self._position = 0

    def _forget(self) -> None:
        """Go back to the saved state, including its position, so that no position is saved without its rows."""
        self._position = self._checkpoint.saved_position
        for forgotten in (self._changes, self._stale, self._tables, self._live, self._due):
            forgotten.clear()
        self._left_out = False

    async def page(self, events: Sequence[Delivered], position: int) -> None:
        """Process events in order; save the checkpoint when there is enough to save."""
        takes, listed = self._takes, self._tables.takes
        for delivered in events:
            if isinstance(delivered, Unread):
                log.error("saga_event_unreadable", stream=str(delivered.record.stream), error=delivered.error.message)
                continue
            event = delivered.event
            take = takes.get(type(event))
            if take is not None:
                take(delivered, event)
            listing = listed.get(type(event))
            if listing is not None:
                listing(delivered)
        self._position = position
        if position >= self._replay_to > 0:  # under load, the end of the log may never be reached
            self._replay_to = 0
            await self.caught_up()
        # The processor continues from the checkpoint's position, which runs ahead in memory of the saved one.
        self._checkpoint.move_in_memory(position)
        if len(self._changes) + len(self._tables) >= _CHANGES_MAX:
            await self.save()

    async def again(self, letter: DeadLetter, events: Sequence[Delivered], following: Delivered | None) -> bool:
        """Return True: nothing is ever parked here."""
        return True

    async def save(self) -> None:
        """Write the changes, with the position that they belong to."""
        async with self._saving:
            position = self._position
            if position == self._checkpoint.saved_position and not self._changes:
                return
            changes, self._changes, self._stale = self._changes, {}, set()
            listed = self._tables.take_changes()
            removals = [AgendaRemoval(*row) for row, due_us in changes.items() if due_us is None]
            rows = [AgendaRow(*row, due_us) for row, due_us in changes.items() if due_us is not None]
            try:
                await self._checkpoint.save_behind(position, [*removals, *rows, *AgendaTables.changes(listed)])
            except BaseException:
                # The write may have succeeded: changes since then must allow for the old rows in the table.
                self._stale.update(self._changes)
                self._changes = {**changes, **self._changes}
                self._stale.update(changes)
                self._tables.give_back(listed)
                raise

    def _issued(self, recorded: RecordedEvent[Event], event: StepIssued) -> None:
        if event.after is not None:
            self._takes[StepSucceeded](recorded, event.after)
        key = IntentKey(recorded.stream_type, recorded.stream_id, event.key)
        intent = issued_intent(recorded, event)
        if intent.commands or intent.effect:
            self._live[key] = _Live(len(intent.commands) or 1, bool(event.deadline_us))
            row = row_of(key, RUN)
            self._change(row, 0)
            if self.started.is_set():
                if not self._runners.steps.start(key, intent):
                    self._leave_out(key)
            else:
                self._add_soon(row, 0)  # it may have ended later in the log
        if event.deadline_us:
            self._add(row_of(key, DEADLINE), event.deadline_us)

    def _answered(self, recorded: RecordedEvent[Event], event: CommandAnswered) -> None:
        key = IntentKey(recorded.stream_type, recorded.stream_id, event.key)
        live = self._live.get(key)
        if live is not None:
            live.waiting -= 1
            if not live.waiting:
                del self._live[key]
                self._drop(row_of(key, RUN))

    def _intent_ended(self, recorded: RecordedEvent[Event], event: StepSucceeded | StepFailed | SagaFailed) -> None:
        key = IntentKey(recorded.stream_type, recorded.stream_id, event.key)
        live = self._live.pop(key, None)
        self._drop(row_of(key, RUN))
        if live is None or live.has_deadline:
            self._drop(row_of(key, DEADLINE))

    def _failed(self, recorded: RecordedEvent[Event], event: SagaFailed) -> None:
        self._intent_ended(recorded, event)
        self._saga_ended(recorded, event)
        if self.started.is_set():
            self._notices.stuck(recorded, event)

    def _saga_started(self, recorded: RecordedEvent[SagaStarted], event: SagaStarted) -> None:
        alarm_us = self._notices.alarm_us(recorded)
        if alarm_us:
            self._add((recorded.stream_type, recorded.stream_id, "", ALARM), alarm_us)

    def _start_ignored(self, recorded: RecordedEvent[Event], event: StartIgnored) -> None:
        if self.started.is_set():
            self._notices.start_ignored(recorded, event)

    def _saga_ended(self, recorded: RecordedEvent[Event], event: Event) -> None:
        if isinstance(event, SagaCompleted) and event.after is not None:
            self._takes[StepSucceeded](recorded, event.after)
        self._end_waiters.ended(recorded.stream)
        if type(event) is not SagaFailed and self.started.is_set():
            self._dispatcher.release(recorded.stream_type, recorded.stream_id)
        if self._notices.has_alarm(recorded.stream_type):
            self._drop((recorded.stream_type, recorded.stream_id, "", ALARM))

    def _submitted(self, recorded: RecordedEvent[Event], event: CommandSubmitted | SubmissionHastened) -> None:
        self._add((SUBMISSION, recorded.stream_id, "", RUN), event.due_us)

    def _concluded(self, recorded: RecordedEvent[Event], event: SubmissionCancelled | SubmissionConcluded) -> None:
        self._drop((SUBMISSION, recorded.stream_id, "", RUN))
        if isinstance(event, SubmissionConcluded) and self.started.is_set():
            self._notices.concluded(recorded, event)

    def _change(self, row: Row, due_us: int) -> None:
        if self._changes.get(row, due_us) is None:
            self._stale.add(row)
        self._changes[row] = due_us

    def _add(self, row: Row, recorded_us: int) -> None:
        due_us = within_calendar(recorded_us)
        if due_us < recorded_us:
            log.error("due_time_out_of_range", owner=row[0], id=row[1], key=row[2], due_us=recorded_us)
        self._change(row, due_us)
        if due_us <= self._source.now_us() + self._horizon_us:
            self._add_soon(row, due_us)

    def _add_soon(self, row: Row, due_us: int) -> None:
        if not self._due.add(row, due_us):
            self._left_out = True
        elif self._due.next_us() == due_us:
            self._awaken()

    def _leave_out(self, key: IntentKey) -> None:
        """Keep an intent out of memory: its row is read when there is room, and its content is read from its saga."""
        self._live.pop(key, None)
        self._left_out = True

    def _drop(self, row: Row) -> None:
        self._due.drop(row)
        if self._changes.get(row) is not None and row not in self._stale:
            del self._changes[row]  # it ended before it was written
        else:
            self._changes[row] = None

    # --- the clock ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start due intents, and write the table at intervals, until cancelled."""
        loop = asyncio.get_running_loop()
        saved_at = loop.time()
        while True:
            await self.started.wait()
            self._start_due()
            now = loop.time()
            if now - saved_at >= _SAVE_EVERY_S:
                saved_at = now
                await self._unless_store_is_away(self.save)
                if self._left_out and self._runners.has_room:
                    await self._unless_store_is_away(self._look_again)
            if abs(self._source.now_us() - self._looked_us) >= self._look_every_us:
                await self._unless_store_is_away(self._look_again)
            wait_s = min(self._tick_s, self._next_due_s())
            if self._changes or len(self._tables) or self._left_out:
                wait_s = min(wait_s, _SAVE_EVERY_S)
            self._wake = loop.create_future()
            await ended(self._wake, wait_s)

    async def _look_again(self) -> None:
        await self.save()  # if the wall clock jumped ahead, unwritten rows may be due
        await self._look()

    async def _unless_store_is_away(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except BaseException as raised:
            let_through(raised)
            log.warning("agenda_waits", error=error_text(raised))

    def _awaken(self) -> None:
        end(self._wake)

    def _next_due_s(self) -> float:
        next_us = self._due.next_us()
        if next_us is None:
            return self._tick_s
        return max(0.0, (next_us - self._source.now_us()) / 1_000_000)

    def _start_due(self) -> None:
        now_us = self._source.now_us()
        while (next_us := self._due.next_us()) is not None and next_us <= now_us:
            self._start(self._due.take())

    def _start(self, row: Row) -> None:
        owner, id, key, what = row
        if what == ALARM:
            self._drop(row)
            self._notices.late(owner, id)
            return
        runner, intent = self._runners.of(owner), IntentKey(owner, id, key)
        is_taken = runner.time_out(intent) if what == DEADLINE else runner.start(intent, None)
        if not is_taken:
            self._left_out = True

    async def _look(self) -> None:
        """Load the rows that are due within the horizon, as far as there is room."""
        looked_us = self._source.now_us()
        until_us = looked_us + self._horizon_us
        last: AgendaRow | None = None
        self._left_out = False
        while True:
            found = await self._store.read_rows(ReadDue(until_us, _ROWS_PER_READ, last, self._checkpoint.share))
            for last in found:
                owner, id, key, what, due_us = astuple(last)
                row = (owner, id, key, what)
                is_over = row in self._changes and self._changes[row] is None
                if row in self._due or is_over or self._is_busy_with(owner, id, key):
                    continue
                if due_us <= looked_us and self.started.is_set():
                    self._start(row)  # rows due later do not delay it
                else:
                    self._add_soon(row, due_us)
                if self._left_out:
                    break
            if self._left_out or len(found) < _ROWS_PER_READ:
                self._looked_us = looked_us
                return

    def _is_busy_with(self, owner: str, id: str, key: str) -> bool:
        return self._runners.of(owner).is_busy_with(IntentKey(owner, id, key))
