"""`Effects`: where each command took effect: once, in one append and, for a saga's command, after its intent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actorium.actors.commands import Ack
from actorium.runtime.commands.derived_ids import MARK
from actorium.sagas.model.intents import IntentKey
from actorium.sagas.model.progress import Open
from actorium.simulation.checks.finding import Violated
from actorium.simulation.record.history import Operation
from actorium.simulation.record.view import View
from actorium.simulation.record.witness import Witness
from actorium.store.codec import decode_metadata
from actorium.store.event_store import Append, AppendOutcome
from actorium.store.events import EncodedRecord, Metadata
from actorium.store.names import StreamName, event_id


class Effect(msgspec.Struct, frozen=True):
    """The one effect of a command: versions `first_version`..`version` of a stream, the last at `position`."""

    stream: StreamName
    first_version: int
    version: int
    position: int

    def __str__(self) -> str:
        return f"{self.stream} versions {self.first_version} to {self.version}"

    def is_told_by(self, operation: Operation, ack: Ack) -> bool:
        """Whether an acknowledgement is that of this effect; another service does not read all events of this one."""
        if operation.reads is None or ack.events:
            return bool(ack.events)
        return (ack.version, ack.position) == (self.version, self.position)


class Effects:
    """Follows the commits and records the effect of each command."""

    def __init__(self, witness: Witness, view: View, violated: Violated) -> None:
        self._witness = witness
        self._view = view
        self._violated = violated
        self._by_command: dict[str, Effect] = {}

    def of(self, command_id: str) -> Effect | None:
        """Return the effect of a command, or None if it had none."""
        return self._by_command.get(command_id)

    def committed(self, records: Sequence[EncodedRecord]) -> None:
        """Process the records of one commit, in order."""
        start = 0
        metadata = [decode_metadata(record.metadata) for record in records]
        for end in range(1, len(records) + 1):
            if end < len(records) and metadata[end].command_id == metadata[start].command_id:
                continue
            if metadata[start].command_id:
                self._took_effect(metadata[start], records[start:end])
            start = end

    def _took_effect(self, metadata: Metadata, records: Sequence[EncodedRecord]) -> None:
        command_id = metadata.command_id
        first, last = records[0], records[-1]
        effect = Effect(first.stream, first.version, last.version, last.position)
        known = self._by_command.setdefault(command_id, effect)
        if known is not effect:
            self._violated("a command takes effect once", f"{command_id} at {known}", f"again at {effect}")
        elif [record.version for record in records if record.stream == first.stream] != [
            *range(first.version, first.version + len(records))
        ]:
            places = ", ".join(f"{record.stream} v{record.version}" for record in records)
            self._violated("a command takes effect in one append", f"{command_id} at {first.stream} only", places)
        if metadata.cause != first.stream:  # otherwise a saga recorded that its command did not happen
            self._was_issued(metadata)

    def _was_issued(self, metadata: Metadata) -> None:
        """Check that a saga's command takes effect only while its intent is open in the log, and that it names it."""
        command_id, cause = metadata.command_id, metadata.cause
        if cause is None or not self._view.is_saga(cause.type):
            return
        rest = command_id.removeprefix(MARK)
        if not rest.startswith(f"{cause.type}/{cause.id}/"):
            return
        saga_class = self._view.class_of(cause.type)
        assert saga_class is not None, f"{cause.type} is a saga without a class"
        key, index = rest.removeprefix(f"{cause.type}/{cause.id}/").split("/")[:2]
        saga: Any = self._view.get(saga_class, cause.id)
        intent: Open | None = saga.open.get(key) if saga is not None else None
        if intent is None or not _is_waited_for(intent, IntentKey(cause.type, cause.id, key), int(index), command_id):
            found = "no such saga" if saga is None else f"open commands: {', '.join(saga.open) or 'none'}"
            self._violated(
                "a saga's command is sent after its intent", f"{command_id} to be open when it takes effect", found
            )
            return
        wanted = event_id(cause, intent.version)
        if metadata.causation_id != wanted:
            self._violated("an event names its cause", f"{command_id} to be caused by {wanted}", metadata.causation_id)
        missing = intent.headers.items() - metadata.headers.items()
        if missing:
            self._violated("a saga passes on its headers", f"{command_id} with {sorted(missing)}", metadata.headers)

    def reported(self, appends: Sequence[Append], outcomes: Sequence[AppendOutcome]) -> None:
        """Compare what the store reported about a commit with the contents of the log."""
        for append, outcome in zip(appends, outcomes, strict=True):
            if type(outcome) is not int:
                continue
            records = self._witness.records[outcome - 1 : outcome - 1 + len(append.events)]
            written = [(one.stream, one.version, one.type, one.payload) for one in records]
            wanted = [
                (append.stream, append.expected_version + n, one.type, one.payload)
                for n, one in enumerate(append.events, 1)
            ]
            if written != wanted:
                self._violated("the log holds what was appended", f"{append.stream} at {outcome}: {wanted}", written)


def _is_waited_for(intent: Open, key: IntentKey, index: int, command_id: str) -> bool:
    """Return whether an intent waits for the command at an index, under this id."""
    round = (intent.rounds[index] or 0) if intent.rounds else 0
    return index in intent.waiting and key.command_id(index, intent.id_form, round) == command_id
