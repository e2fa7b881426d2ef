"""What a console's API asks and answers about correction cases, as JSON."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from actorium.console.api.queries import Limit, Position, Reason
from actorium.correction_case import AppliedCorrection, SkipMark
from actorium.corrections.impact.report import TouchedFollower, TouchedService
from actorium.corrections.what_if.differences import WhatIf

LINES_MAX = 1_000
DIFFERENCES_MAX = 500
"""So many differences a dry run returns; its counts count all."""

CaseId = Annotated[str, msgspec.Meta(min_length=1)]


class CasesQuery(msgspec.Struct, frozen=True):
    """Cases in a status, or all, after an id."""

    status: str = ""
    after: str = ""
    limit: Limit = 50


class CaseQuery(msgspec.Struct, frozen=True):
    """The case with an id."""

    id: CaseId


class SelectionQuery(msgspec.Struct, frozen=True):
    """Events; every condition that is given must hold, and at least one must be given.

    events: their ids.
    causes: the ids of events that caused them directly; `<service>:<event id>` for an event of another service.
    stream_type, stream_id: the stream that holds them.
    types: the stored names of their types.
    after, until: those after one position, up to another; 0 stands for no limit.
    since, before: those recorded at this time or later, or earlier than this time (ISO 8601, with a time zone).
    headers: headers that they have, as name=value.
    """

    events: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    stream_type: str = ""
    stream_id: str = ""
    types: tuple[str, ...] = ()
    after: Position = 0
    until: Position = 0
    since: str = ""
    before: str = ""
    headers: tuple[str, ...] = ()


class CaseAction(msgspec.Struct, frozen=True):
    """Act on a case, for a reason.

    by: the person in whose name; empty for the operator. Only who uses the control socket may name another one.
    """

    id: CaseId
    reason: Reason
    by: str = ""


class CaseOpening(CaseAction, frozen=True):
    """Open a case; `hold` stops the outlets and reactions that follow its events until it is closed."""

    selection: SelectionQuery = SelectionQuery()
    hold: bool = False


class CommandToSend(msgspec.Struct, frozen=True):
    """A command: its stored name, and its fields with `to`."""

    type: str
    fields: dict[str, Any]


class CasePlanning(CaseAction, frozen=True):
    """Plan what is done about the events of a case.

    right: for the id of a wrong event, the fields that should have had other values, or null if it should not have
        happened.
    commands: for the id of a wrong event, a command to send instead.
    skip: followers that skip the events of the case from now on, such as "projection Balances" or "outlet bank".
    repair: projections whose rows are compared with the log.
    rerun: reactions that are called again with the events of the case, such as "thank".
    """

    right: dict[str, dict[str, Any] | None] = {}
    commands: dict[str, CommandToSend] = {}
    skip: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()
    rerun: tuple[str, ...] = ()


class SagaSettling(CaseAction, frozen=True, kw_only=True):
    """Decide what becomes of a saga that the wrong events touched; the actions are those of `settle_saga`."""

    saga_type: str
    saga_id: str
    action: str


class CaseRow(msgspec.Struct, frozen=True):
    """A case in a list; `events` is their number."""

    id: str
    status: str
    events: int
    opened_by: str
    reason: str
    approved_by: str


class CasePage(msgspec.Struct, frozen=True):
    """Cases by id; `after` is for the next page, empty if this is the last one."""

    cases: list[CaseRow]
    after: str


class CorrectionView(msgspec.Struct, frozen=True):
    """What is planned about one wrong event: its right values, or a command; without the values that are hidden."""

    event: str
    stream_type: str
    stream_id: str
    right: Any
    command: str
    fields: Any


class CaseView(msgspec.Struct, frozen=True):
    """A case as it is now.

    held: the followers that wait until it is closed.
    dry_run: the differences that the plan makes, counted by kind; null before a dry run.
    repaired: the projections that are repaired already.
    reruns: for each reaction that runs again, the ids of the events.
    rerun: for each reaction that ran again, its error for each event; an empty text if it succeeded.
    sagas: what was decided about sagas, by the name of their stream.
    is_masked: whether a value is hidden.
    """

    id: str
    status: str
    opened_by: str
    reason: str
    approved_by: str
    closed_by: str
    events: tuple[str, ...]
    held: tuple[str, ...]
    corrections: list[CorrectionView]
    marks: tuple[SkipMark, ...]
    repairs: tuple[str, ...]
    dry_run: dict[str, int] | None
    outcomes: tuple[AppliedCorrection, ...]
    repaired: tuple[str, ...]
    reruns: dict[str, tuple[str, ...]]
    rerun: dict[str, dict[str, str]]
    sagas: dict[str, str]
    is_masked: bool


class CaseActed(msgspec.Struct, frozen=True):
    """A case after an action, and the operator's event that records the action.

    differences: what the plan makes different, after a dry run: at most 500; the counts count all.
    """

    case: CaseView
    recorded_as: str
    differences: WhatIf | None = None


class ImpactProjection(msgspec.Struct, frozen=True):
    """A projection that handles touched events, as `TouchedProjection` describes it; `rows` is their number."""

    name: str
    version: int
    events: int
    handled: int
    rows: int
    statements: int
    parked: int


class ImpactView(msgspec.Struct, frozen=True):
    """What some events touched.

    counts: how much of each kind.
    tree: the events as indented lines, each below its cause; at most 1,000.
    services: the other services that were asked, each with its answer.
    """

    head: int
    counts: dict[str, int]
    tree: list[str]
    projections: list[ImpactProjection]
    followers: list[TouchedFollower]
    services: list[TouchedService] = []
