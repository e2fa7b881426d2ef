"""`LogRun`: goes through a log again with some code, and carries out what follows from it, in memory.

Each append of the log is decided again at its place, on the state that the run has by then. A command whose cause does
not exist in the run is not sent; a command that a saga issues only in the run is carried out at once. Nothing leaves
the run: an external effect counts as done, with the recorded result if there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.catalog import Catalog
from actorium.corrections.what_if.decisions import Decision, Made, Outcome, States
from actorium.corrections.what_if.edits import Added, Edits
from actorium.corrections.what_if.probes import Probes
from actorium.corrections.what_if.recorded import RecordedAppend, RecordedLog
from actorium.corrections.what_if.sagas import PendingCommand, SagaRuns
from actorium.sagas.model.recording import command_of
from actorium.sagas.model.submissions import SUBMISSION, CommandSubmitted
from actorium.store.errors import UnreadableEvent
from actorium.store.events import EncodedRecord, Event, Metadata, RecordedEvent, as_json, event_type_of
from actorium.store.names import event_id
from actorium.store.raised import let_through

_APPENDS_PER_TURN = 200
"""Then the other tasks of the event loop get their turn: a run may be made beside a live application."""


class LogRun:
    """One run of a log.

    events: the events of aggregates that happen in the run, in order; their positions are those of the run.
    decisions: what became of each command, by its id.
    recorded: for each command that was decided again, the decision that the log holds.
    probes: the answers to commands that nobody sent.
    unreadable: why events cannot be read, by stored name; these events are missing in the run.
    """

    def __init__(self, catalog: Catalog, log: RecordedLog, edits: Edits | None = None) -> None:
        self._catalog = catalog
        self._codec = catalog.codec
        self.log = log
        self._edits = edits or Edits()
        self.states = States(catalog)
        self.sagas = SagaRuns(catalog, log, self.states)
        self.events: list[RecordedEvent[Event]] = []
        self.decisions: dict[str, Decision] = {}
        self.recorded: dict[str, Decision] = {}
        self.probes = Probes(self.states)
        self.skipped = self._edits.skipped
        self.unreadable: dict[str, str] = {}
        self._submitted: dict[str, CommandSubmitted] = {}
        self._gone: set[str] = set()
        self._edited: set[str] = set()
        self._added = sorted(self._edits.added, key=lambda one: one.after if one.after is not None else log.head)

    async def run(self) -> None:
        """Go through the log; raise NotFound if an edit is about an event that the log does not have."""
        added = list(self._added)
        for number, append in enumerate(self.log.appends):
            while added and added[0].after is not None and added[0].after < append.records[0].position:
                self._add(added.pop(0), append.recorded_us)
            self._take(append)
            self._settle(append.recorded_us)
            if number % _APPENDS_PER_TURN == 0:
                await asyncio.sleep(0)
        end_us = self.log.appends[-1].recorded_us if self.log.appends else 0
        for one in added:
            self._add(one, end_us)
        self._edits.require_found(frozenset(self._edited))

    def _take(self, append: RecordedAppend) -> None:
        type = append.stream.type
        if self.states.has(type):
            self._take_aggregate(append)
        elif append.stream in self.log.sagas:
            for recorded in self._read(append.records):
                self._take_saga(recorded)
        elif type == SUBMISSION:
            for recorded in self._read(append.records):
                if isinstance(recorded.event, CommandSubmitted):
                    self._submitted[recorded.stream_id] = recorded.event

    # --- aggregates -----------------------------------------------------------------------------------------------

    def _take_aggregate(self, append: RecordedAppend) -> None:
        command_id = append.metadata.command_id
        pending = self.sagas.waiting.pop(command_id, None)
        if command_id in self.log.issued:
            self.sagas.passed.add(command_id)
        if any(_id(record) in self._edits.events for record in append.records):
            self._take_edited(append, pending)
        elif command_id in self.log.issued and pending is None:
            self._not_sent(append)
        elif pending is not None:
            self._carry_out(pending, append.recorded_us, append)
        elif append.metadata.causation_id in self._gone:
            self._not_sent(append)
        else:
            command = append.command or self._submitted_command(command_id)
            if command is None:
                self._append(append, self._decoded(append.records))
            else:
                self._redecide(append, command)

    def _submitted_command(self, command_id: str) -> Command | None:
        submitted = self._submitted.get(command_id)
        command_class = self.states.commands.get(submitted.command.type) if submitted is not None else None
        if submitted is None or command_class is None:
            return None
        try:
            return command_of(submitted.command, command_class)
        except msgspec.ValidationError:
            return None

    def _redecide(self, append: RecordedAppend, command: Command) -> Made:
        id = append.metadata.command_id
        name = command_type_of(type(command))
        known = self.states.commands.get(name)
        try:
            if known is None:
                raise LookupError(f"no aggregate handles {name}")
            if known is not type(command):  # of other code, under the same stored name
                command = msgspec.convert(msgspec.to_builtins(command), type=known)
        except (LookupError, msgspec.ValidationError) as error:
            return self._decided(id, Made(Decision(append.stream, name, "failed", (), str(error))), append)
        self.probes.ask(id, command, append.metadata)
        return self._decided(id, self.states.decide(command, append.metadata), append)

    def _decided(self, id: str, made: Made, append: RecordedAppend) -> Made:
        self.decisions[id] = made.decision
        payloads = tuple((record.type, record.payload) for record in append.records)
        self.recorded[id] = Decision(append.stream, made.decision.command, "accepted", payloads)
        self._append(append, made.events)
        return made

    def _take_edited(self, append: RecordedAppend, pending: PendingCommand | None) -> None:
        events: list[Event] = []
        for record in append.records:
            id = _id(record)
            self._edited |= {id} & self._edits.events
            if id in self._edits.left_out:
                continue
            changes = self._edits.changed.get(id)
            if changes is not None:
                payload = {**msgspec.json.decode(record.payload), **changes}
                record = msgspec.structs.replace(record, payload=msgspec.json.encode(payload))
            events += self._decoded([record])
        name = command_type_of(type(append.command)) if append.command is not None else ""
        payloads = tuple((event_type_of(type(event)), as_json(event)) for event in events)
        outcome: Outcome = "accepted" if events else "left out"
        self.decisions[append.metadata.command_id] = Decision(append.stream, name, outcome, payloads)
        self._append(append, events, is_edited=True)
        if pending is not None:
            done = Decision(append.stream, pending.issued.type, "accepted")
            self.sagas.answered(pending, done, append.recorded_us)

    def _not_sent(self, append: RecordedAppend) -> None:
        name = command_type_of(type(append.command)) if append.command is not None else ""
        self.decisions[append.metadata.command_id] = Decision(append.stream, name, "not sent")
        self._gone |= {_id(record) for record in append.records}

    def _append(self, append: RecordedAppend, events: Sequence[Event], *, is_edited: bool = False) -> None:
        """Apply the events that take the place of an append's, and deliver them to sagas."""
        is_new = is_edited or len(events) != len(append.records)
        for record in append.records[len(events) :]:
            self._gone.add(_id(record))
        recorded = self._applied(append.stream, events, append.metadata, append.recorded_us)
        for one in recorded:
            self.sagas.happened(one, is_new=is_new)

    def _applied(self, stream: Any, events: Sequence[Event], metadata: Metadata, at_us: int) -> Any:
        recorded = self.states.apply(stream, events, metadata, len(self.events) + 1, at_us)
        self.events += recorded
        return recorded

    # --- sagas ----------------------------------------------------------------------------------------------------

    def _take_saga(self, recorded: RecordedEvent[Event]) -> None:
        for pending in self.sagas.pending_at(recorded):
            self.sagas.passed.add(pending.id)
            self._carry_out(pending, recorded.recorded_us, None)
        self.sagas.told(recorded)

    def _carry_out(self, pending: PendingCommand, at_us: int, append: RecordedAppend | None) -> None:
        """Decide a command that a saga issued, and report the outcome to the saga."""
        decision = self._decision_on(pending, at_us, append)
        self.decisions[pending.id] = decision
        if decision.outcome != "accepted" and append is not None:
            self._gone |= {_id(record) for record in append.records}
        self.sagas.answered(pending, decision, at_us)

    def _decision_on(self, pending: PendingCommand, at_us: int, append: RecordedAppend | None) -> Decision:
        command_class = self.states.commands.get(pending.issued.type)
        try:
            if command_class is None:
                raise LookupError(f"nothing handles {pending.issued.type}")
            command = command_of(pending.issued, command_class)
        except BaseException as raised:
            let_through(raised)
            return Decision(pending.stream, pending.issued.type, "failed", (), str(raised))
        if append is not None:
            return self._redecide(append, command).decision
        made = self.states.decide(command, pending.metadata)
        for one in self._applied(self.states.stream_of(command), made.events, pending.metadata, at_us):
            self.sagas.happened(one, is_new=True)
        return made.decision

    def _settle(self, at_us: int) -> None:
        """Carry out what sagas issued only in this run, and what follows from it."""
        while self.sagas.ready:
            self._carry_out(self.sagas.ready.pop(0), at_us, None)

    def _add(self, added: Added, at_us: int) -> None:
        metadata = Metadata(f"added {len(self.decisions)}")
        by = (added.stream, added.handler) if added.stream is not None and added.handler is not None else None
        made = self.states.decide(added.command, metadata, by=by)
        self.decisions[metadata.command_id] = made.decision
        for one in self._applied(made.decision.stream, made.events, metadata, at_us):
            self.sagas.happened(one, is_new=True)
        self._settle(at_us)

    # --- reading --------------------------------------------------------------------------------------------------

    def _decoded(self, records: Sequence[EncodedRecord]) -> list[Event]:
        return [recorded.event for recorded in self._read(records)]

    def _read(self, records: Sequence[EncodedRecord]) -> list[RecordedEvent[Event]]:
        found: list[RecordedEvent[Event]] = []
        for record in records:
            try:
                found += self._codec.recorded(record)
            except UnreadableEvent as error:
                self.unreadable.setdefault(record.type, str(error))
        return found


def _id(record: EncodedRecord) -> str:
    return event_id(record.stream, record.version)
