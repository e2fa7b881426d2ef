"""The runtime's own tables beside the log: their rows, changes and reads.

The runtime and its sagas write these tables with `SaveCheckpoint.changes` and read them with `EventStore.read_rows`;
the adapter decides how a row is stored. Everything in them can be rebuilt from the log.

A row in the changes replaces the row with the same key.
"""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec

Row = TypeVar("Row")


class TableChange(msgspec.Struct, frozen=True, gc=False, tag=True, tag_field="change"):
    """A change of one of the runtime's own tables; the subclasses below are the complete set."""


class AgendaRow(TableChange, frozen=True, gc=False):
    """An intent and the time when something is due for it. The key is every field except `due_us`.

    `owner`, `id` and `key` identify the intent; `what` is due at `due_us`: to carry it out, or its deadline.
    """

    owner: str
    id: str
    key: str
    what: str
    due_us: int


class AgendaRemoval(TableChange, frozen=True, gc=False):
    """Remove the agenda's row with this key, if any."""

    owner: str
    id: str
    key: str
    what: str


class SagaRow(msgspec.Struct, frozen=True, gc=False):
    """A saga and its status, as the list of sagas shows it. The key is the type and the id."""

    type: str
    id: str
    status: str
    step: str
    reason: str
    started_us: int
    updated_us: int


class SagaChange(TableChange, frozen=True, gc=False):
    """Write the columns of a saga's row that are not None; create the row if needed."""

    type: str
    id: str
    status: str | None
    step: str | None
    reason: str | None
    started_us: int | None
    updated_us: int


class SubmissionRow(TableChange, frozen=True, gc=False):
    """A submitted command, as the list of submissions shows it. The key is the id.

    `type` is the stable name of the command; `ended_us` is 0 while it waits.
    """

    id: str
    type: str
    status: str
    reason: str
    due_us: int
    submitted_us: int
    ended_us: int


class SubmissionDue(TableChange, frozen=True, gc=False):
    """Write the time when a submission is due in its row, if any."""

    id: str
    due_us: int


class SubmissionEnd(TableChange, frozen=True, gc=False):
    """Record the outcome of a submission and its time in its row, if any."""

    id: str
    status: str
    reason: str
    ended_us: int


class KeptState(TableChange, frozen=True, gc=False):
    """A value as JSON that follows from the events up to `position`, such as the state of a projection.

    There is one row per name.
    """

    name: str
    version: int
    position: int
    state: bytes


class KeptStateRemoval(TableChange, frozen=True, gc=False):
    """Remove the stored state of this name, if any."""

    name: str


class RemoveAll(TableChange, frozen=True, gc=False):
    """Remove all rows of a table."""

    table: Literal["agenda", "sagas", "submissions"]


class RemoveShare(TableChange, frozen=True, gc=False):
    """Remove the agenda's rows of one share, those with this `share_of(owner, id)`."""

    share: int


class TableRead(msgspec.Struct, Generic[Row], frozen=True, gc=False, tag=True, tag_field="read"):
    """A request for rows of one of the runtime's own tables; the subclasses below are the complete set."""


class ReadDue(TableRead[AgendaRow], frozen=True, gc=False):
    """Agenda rows due at `until_us` or before, at most `limit`, ordered by `due_us` and then by key.

    With `after`, only those that follow that row in this order; with `share`, only those of that share.
    """

    until_us: int
    limit: int
    after: AgendaRow | None = None
    share: int | None = None


class ReadSagas(TableRead[SagaRow], frozen=True, gc=False):
    """Sagas by type and id, at most `limit`: of one type or all, in one status or any.

    step: only those at this step.
    id_prefix: only those whose id starts with it.
    updated_before_us: only those that last changed before this time.
    after: a type and an id: only those that follow it in this order.
    """

    limit: int
    type: str | None = None
    status: str | None = None
    after: tuple[str, str] | None = None
    step: str | None = None
    id_prefix: str = ""
    updated_before_us: int | None = None


class SagaCount(msgspec.Struct, frozen=True, gc=False):
    """The number of sagas in a status."""

    status: str
    count: int


class CountSagas(TableRead[SagaCount], frozen=True, gc=False):
    """One row per status, with at most `count_max` as its count: counting stops there."""

    count_max: int


class LiveSteps(msgspec.Struct, frozen=True, gc=False):
    """A type of saga, and the ids of its running, undoing or failed sagas, by step.

    `ids` is empty if no saga of the type is live.
    """

    type: str
    ids: dict[str, list[str]]


class ReadLiveSteps(TableRead[LiveSteps], frozen=True, gc=False):
    """One row per type of saga, ordered by type, with at most `ids_max` ids for each step."""

    ids_max: int


class ReadSubmissions(TableRead[SubmissionRow], frozen=True, gc=False):
    """Submissions by id, at most `limit`, in one status or any; with `after`, only those that follow this id.

    type: only the commands with this stable name.
    """

    limit: int
    status: str | None = None
    after: str | None = None
    type: str | None = None


class ReadKeptState(TableRead[KeptState], frozen=True, gc=False):
    """The stored state of a name, if this version stored it."""

    name: str
    version: int
