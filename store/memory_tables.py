"""`MemoryTables`: checkpoints, dead letters and the runtime's own tables in plain Python structures.

Invariants: `_due` has the rows of `_agenda`, in the order in which they are read; `_saga_keys` has the keys of `_sagas`
in order, or is None until the next read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from actorium.store.errors import StatementFailed
from actorium.store.event_store import DeadLetter, SaveCheckpoint
from actorium.store.tables.own_rows import (
    AgendaRemoval,
    AgendaRow,
    CountSagas,
    KeptState,
    KeptStateRemoval,
    LiveSteps,
    ReadDue,
    ReadKeptState,
    ReadLiveSteps,
    ReadSagas,
    ReadSubmissions,
    RemoveAll,
    Row,
    SagaChange,
    SagaCount,
    SagaRow,
    SubmissionDue,
    SubmissionEnd,
    SubmissionRow,
    TableChange,
    TableRead,
)

_LIVE = ("running", "undoing", "failed")
_STATUSES = (*_LIVE, "undone", "completed")
_AgendaKey = tuple[str, str, str, str]


class MemoryTables:
    """The tables of a `MemoryStore` that no SQL of a projection writes."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._letters: dict[tuple[str, int], DeadLetter] = {}
        self._agenda: dict[_AgendaKey, int] = {}
        self._due: list[tuple[int, str, str, str, str]] = []
        self._sagas: dict[tuple[str, str], SagaRow] = {}
        self._saga_keys: list[tuple[str, str]] | None = None
        self._submissions: dict[str, SubmissionRow] = {}
        self._states: dict[str, KeptState] = {}

    def save(self, checkpoint: SaveCheckpoint) -> None:
        """Write a checkpoint with its changes, parked and settled events; `require_writable` has checked the changes.

        It cannot fail, so it is called last.
        """
        name = checkpoint.name
        for change in checkpoint.changes:
            _MAKE[type(change)](self, change)
        for position in checkpoint.settled:
            self._letters.pop((name, position), None)
        for letter in checkpoint.parked:
            self._letters[letter.processor, letter.position] = letter
        self._positions[name] = checkpoint.position

    def position(self, name: str) -> int:
        """Return the saved position of a processor, 0 if there is none."""
        return self._positions.get(name, 0)

    def dead_letters(self, processor: str | None) -> list[DeadLetter]:
        """Return the dead letters of one processor or of all, in log order."""
        found = [one for (name, _), one in self._letters.items() if processor in (None, name)]
        return sorted(found, key=lambda letter: letter.position)

    def read(self, read: TableRead[Row]) -> list[Row]:
        """Return the rows that a read asks for."""
        rows: list[Row] = _READ[type(read)](self, read)
        return rows

    # --- changes --------------------------------------------------------------------------------------------------

    def _put_due(self, row: AgendaRow) -> None:
        key = (row.owner, row.id, row.key, row.what)
        self._remove_key(key)
        self._agenda[key] = row.due_us
        insort(self._due, (row.due_us, *key))

    def _remove_due(self, removal: AgendaRemoval) -> None:
        self._remove_key((removal.owner, removal.id, removal.key, removal.what))

    def _remove_key(self, key: _AgendaKey) -> None:
        due_us = self._agenda.pop(key, None)
        if due_us is not None:
            del self._due[bisect_left(self._due, (due_us, *key))]

    def _change_saga(self, change: SagaChange) -> None:
        key = (change.type, change.id)
        row = self._sagas.get(key)
        if row is None:
            row = SagaRow(*key, "", "", "", 0, 0)
            self._saga_keys = None
        self._sagas[key] = SagaRow(
            *key,
            row.status if change.status is None else change.status,
            row.step if change.step is None else change.step,
            row.reason if change.reason is None else change.reason,
            row.started_us if change.started_us is None else change.started_us,
            change.updated_us,
        )

    def _put_submission(self, row: SubmissionRow) -> None:
        self._submissions[row.id] = row

    def _hasten_submission(self, change: SubmissionDue) -> None:
        row = self._submissions.get(change.id)
        if row is not None:
            self._submissions[change.id] = msgspec.structs.replace(row, due_us=change.due_us)

    def _end_submission(self, end: SubmissionEnd) -> None:
        row = self._submissions.get(end.id)
        if row is not None:
            ended = msgspec.structs.replace(row, status=end.status, reason=end.reason, ended_us=end.ended_us)
            self._submissions[end.id] = ended

    def _keep_state(self, state: KeptState) -> None:
        self._states[state.name] = state

    def _remove_state(self, removal: KeptStateRemoval) -> None:
        self._states.pop(removal.name, None)

    def _remove_all(self, removal: RemoveAll) -> None:
        if removal.table == "agenda":
            self._agenda.clear()
            self._due.clear()
        elif removal.table == "sagas":
            self._sagas.clear()
            self._saga_keys = None
        else:
            self._submissions.clear()

    # --- reads ----------------------------------------------------------------------------------------------------

    def _read_due(self, read: ReadDue) -> list[AgendaRow]:
        due, after = self._due, read.after
        first = 0
        if after is not None:
            first = bisect_right(due, (after.due_us, after.owner, after.id, after.key, after.what))
        end = bisect_left(due, (read.until_us + 1,), first)
        found = due[first : min(end, first + read.limit)]
        return [AgendaRow(owner, id, key, what, due_us) for due_us, owner, id, key, what in found]

    def _sagas_in_order(self) -> list[tuple[str, str]]:
        if self._saga_keys is None:
            self._saga_keys = sorted(self._sagas)
        return self._saga_keys

    def _read_sagas(self, read: ReadSagas) -> list[SagaRow]:
        keys = self._sagas_in_order()
        first = 0 if read.after is None else bisect_right(keys, read.after)
        if read.type is not None:
            first = max(first, bisect_left(keys, (read.type,)))
        found: list[SagaRow] = []
        for place in range(first, len(keys)):
            row = self._sagas[keys[place]]
            if len(found) == read.limit or read.type not in (None, row.type):
                break
            if (
                read.status in (None, row.status)
                and read.step in (None, row.step)
                and row.id.startswith(read.id_prefix)
                and (read.updated_before_us is None or row.updated_us < read.updated_before_us)
            ):
                found.append(row)
        return found

    def _count_sagas(self, read: CountSagas) -> list[SagaCount]:
        counts = Counter(row.status for row in self._sagas.values())
        return [SagaCount(status, min(counts[status], read.count_max)) for status in _STATUSES]

    def _read_live_steps(self, read: ReadLiveSteps) -> list[LiveSteps]:
        found: dict[str, LiveSteps] = {}
        for key in self._sagas_in_order():
            row = self._sagas[key]
            steps = found.setdefault(row.type, LiveSteps(row.type, {}))
            if row.status in _LIVE:
                ids = steps.ids.setdefault(row.step, [])
                if len(ids) < read.ids_max:
                    ids.append(row.id)
        return list(found.values())

    def _read_submissions(self, read: ReadSubmissions) -> list[SubmissionRow]:
        found = [
            row
            for row in self._submissions.values()
            if read.status in (None, row.status)
            and read.type in (None, row.type)
            and (read.after is None or row.id > read.after)
        ]
        return sorted(found, key=lambda row: row.id)[: read.limit]

    def _read_state(self, read: ReadKeptState) -> list[KeptState]:
        state = self._states.get(read.name)
        return [state] if state is not None and state.version == read.version else []


def require_writable(changes: Iterable[TableChange]) -> None:
    """Raise StatementFailed for a change that other stores could not write: a text that is not UTF-8."""
    for change in changes:
        for value in msgspec.structs.astuple(change):
            if type(value) is str and not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError as error:
                    raise StatementFailed(f"a change to the runtime's own tables failed: {error}") from error


_MAKE: Mapping[type[TableChange], Callable[[MemoryTables, Any], None]] = {
    AgendaRow: MemoryTables._put_due,
    AgendaRemoval: MemoryTables._remove_due,
    SagaChange: MemoryTables._change_saga,
    SubmissionRow: MemoryTables._put_submission,
    SubmissionDue: MemoryTables._hasten_submission,
    SubmissionEnd: MemoryTables._end_submission,
    KeptState: MemoryTables._keep_state,
    KeptStateRemoval: MemoryTables._remove_state,
    RemoveAll: MemoryTables._remove_all,
}
_READ: Mapping[type[TableRead[Any]], Callable[[MemoryTables, Any], list[Any]]] = {
    ReadDue: MemoryTables._read_due,
    ReadSagas: MemoryTables._read_sagas,
    CountSagas: MemoryTables._count_sagas,
    ReadLiveSteps: MemoryTables._read_live_steps,
    ReadSubmissions: MemoryTables._read_submissions,
    ReadKeptState: MemoryTables._read_state,
}
