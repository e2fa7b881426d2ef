"""`AgendaTables`: the tables that the agenda keeps for listing sagas and submitted commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from actorium.sagas.agenda.saga_table import Changes, SagaTable, saga_changes
from actorium.sagas.agenda.submission_table import SubmissionChanges, SubmissionTable, submission_changes
from actorium.store.events import Event, RecordedEvent
from actorium.store.tables.own_rows import RemoveAll, TableChange


class TableChanges(NamedTuple):
    """Changes to write."""

    sagas: Changes
    submissions: SubmissionChanges


class AgendaTables:
    """The unwritten changes of both tables; `takes` maps each event class to the method that records its change."""

    clearing = (RemoveAll("sagas"), RemoveAll("submissions"))
    submission_events = SubmissionTable.event_classes

    def __init__(self) -> None:
        self._sagas = SagaTable()
        self._submissions = SubmissionTable()
        self.takes: Mapping[type[Event], Callable[[RecordedEvent[Event]], None]] = {
            **self._sagas.takes,
            **dict.fromkeys(self._submissions.event_classes, self._submissions.take),
        }

    def __len__(self) -> int:
        return len(self._sagas) + len(self._submissions)

    def take_changes(self) -> TableChanges:
        """Return the changes to write, and forget them."""
        return TableChanges(self._sagas.take_changes(), self._submissions.take_changes())

    def give_back(self, changes: TableChanges) -> None:
        """Take back changes that could not be written; newer ones take precedence."""
        self._sagas.give_back(changes.sagas)
        self._submissions.give_back(changes.submissions)

    def clear(self) -> None:
        """Forget everything."""
        self._sagas.clear()
        self._submissions.clear()

    @staticmethod
    def changes(noted: TableChanges) -> list[TableChange]:
        """Return the changes as statements for the store."""
        return [*saga_changes(noted.sagas), *submission_changes(noted.submissions)]
