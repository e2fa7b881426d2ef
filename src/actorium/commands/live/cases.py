"""`actorium cases`: the correction cases of a running application, from the wrong events to the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from actorium.commands.corrections.selecting import SelectionOptions, chosen_events, with_object
from actorium.commands.json_report import JsonFile, screen_beside, write_json, write_text
from actorium.commands.live.output import print_impact, print_rows
from actorium.commands.live.reach import Reason, Where, reached
from actorium.commands.problem import Problem, WrongUse, require_place_for_report
from actorium.commands.screen import Screen
from actorium.console.cases.forms import CaseActed, CasePage, CaseView, ImpactView
from actorium.corrections.cases.report import CaseReport, failed_reruns
from actorium.store.wording import counted

_LINES = 40

CaseId = Annotated[str, Parameter(help="The id of the case.")]
By = Annotated[
    str,
    Parameter(
        name="--by",
        help="The person in whose name you act, if you are not that person; your own name is recorded beside it.",
    ),
]
Several = Annotated[Sequence[str], Parameter(negative="")]
"""An option that can be repeated."""


class PlanFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan in a file: what the options of `actorium cases plan` say, as JSON."""

    right: dict[str, dict[str, Any] | None] = {}
    commands: dict[str, dict[str, Any]] = {}
    skip: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()
    rerun: tuple[str, ...] = ()


def list_cases(*, where: Where, status: str = "", after: str = "", limit: int = 50, json: JsonFile = None) -> None:
    """List correction cases.

    Parameters
    ----------
    status
        Only those that are open, planned, approved, applying, applied, closed or cancelled.
    after
        Continue after the case with this id.
    limit
        How many to list, at most 500.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        page = application.get("cases", CasePage, status=status, after=after, limit=limit)
    if json is not None:
        write_json(page, json)
    rows = [(one.id, one.status, str(one.events), one.opened_by, one.approved_by, one.reason) for one in page.cases]
    print_rows(screen, ("id", "status", "events", "opened by", "approved by", "reason"), rows, "no such cases")
    if page.after:
        screen.say(f"more: --after {page.after}")


def show(id: CaseId, /, *, where: Where, json: JsonFile = None) -> None:
    """Show a case: its plan, and what became of it."""
    screen = screen_beside(json)
    with reached(where, screen) as application:
        case = application.get("case", CaseView, id=id)
    if json is not None:
        write_json(case, json)
    _print(screen, case)


def impact(id: CaseId, /, *, where: Where, json: JsonFile = None) -> None:
    """Show what the events of a case touched."""
    screen = screen_beside(json)
    with reached(where, screen) as application:
        found = application.get("case/impact", ImpactView, id=id)
    if json is not None:
        write_json(found, json)
    print_impact(screen, found.counts, found.tree[:_LINES], found.services)


def report(id: CaseId, /, *, where: Where, json: JsonFile = None, html: Path | None = None) -> None:
    """Show the report on a case: its steps, its corrections, and what they touched.

    Parameters
    ----------
    html
        Write the report to this file as an HTML page.
    """
    require_place_for_report(html)
    screen = screen_beside(json)
    with reached(where, screen) as application:
        found = application.get("case/report", CaseReport, id=id)
    if json is not None:
        write_json(found, json)
    if html is not None:
        from actorium.corrections.pages.case_page import case_page

        write_text(case_page(found), html)
    screen.say(f"{found.id} is {found.status}: {found.reason}")
    for head, counts in (("touched", found.impact), ("corrected", found.corrected)):
        screen.say(f"{head}: {', '.join(f'{number:,} {name}' for name, number in counts.items() if number)}")
    for name, rows in found.repaired.items():
        screen.say(f"{name}: {'rebuilt' if rows < 0 else counted(rows, 'row') + ' repaired'}")
    for one in found.refused:
        screen.complain(f"{one.event}: {one.error}")
    for name, outcomes in found.rerun.items():
        screen.say(f"{name}: ran again for {counted(len(outcomes), 'event')}")
    for name, event, error in found.failed_reruns:
        screen.complain(f"{name}, {event}: {error}")


def open_case(
    id: CaseId,
    /,
    selection: SelectionOptions | None = None,
    *,
    where: Where,
    reason: Reason,
    by: By = "",
    events: Path | None = None,
    hold: bool = False,
    json: JsonFile = None,
) -> None:
    """Open a case for wrong events, or for right ones that were handled wrongly.

    Parameters
    ----------
    events
        A file with the ids of the events, one on each line, or with the JSON report of `actorium impact`; `-` is
        standard input.
    hold
        Stop the outlets and reactions that follow these events until the case is closed.
    """
    chosen = chosen_events(selection or SelectionOptions(), events)
    _act("open", id, where, reason, by, json, selection=chosen, hold=hold)


def plan(
    id: CaseId,
    /,
    *,
    where: Where,
    reason: Reason,
    by: By = "",
    right: Several = (),
    never: Several = (),
    command: Several = (),
    skip: Several = (),
    repair: Several = (),
    rerun: Several = (),
    file: Path | None = None,
    json: JsonFile = None,
) -> None:
    """Plan what is done about the events of a case; a later plan replaces it.

    Parameters
    ----------
    right
        The fields of an event that should have had other values, as ID={"field": value}. Can be repeated.
    never
        The id of an event that should not have happened. Can be repeated.
    command
        A command to send because of an event, as ID={"type": "…", "to": "…", …}. Can be repeated.
    skip
        A follower that skips the events of the case from now on, such as "projection Balances", "outlet bank" or
        "reaction thank". Can be repeated.
    repair
        A projection whose rows are compared with the log, and repaired. Can be repeated.
    rerun
        A reaction, declared with rerun=True, that is called again with the events of the case. Can be repeated.
    file
        A JSON file with the same: {"right": {"ID": {…} or null}, "commands": {…}, "skip": […], "repair": […],
        "rerun": […]}.
    """
    wanted = PlanFile() if file is None else _plan_file(file)
    rights: dict[str, Mapping[str, Any] | None] = {**wanted.right, **dict.fromkeys(never)}
    rights |= dict(with_object("--right", text) for text in right)
    commands = {**wanted.commands, **dict(with_object("--command", text) for text in command)}
    _act(
        "plan",
        id,
        where,
        reason,
        by,
        json,
        right=rights,
        commands={event: _command(event, fields) for event, fields in commands.items()},
        skip=[*wanted.skip, *skip],
        repair=[*wanted.repair, *repair],
        rerun=[*wanted.rerun, *rerun],
    )


def dry_run(id: CaseId, /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Try the plan of a case on a copy of the log in memory, and show what would be different."""
    acted = _act("dry-run", id, where, reason, "", json)
    assert acted.differences is not None
    for line in acted.differences.lines(_LINES):
        screen_beside(json).say(line)


def approve(id: CaseId, /, *, where: Where, reason: Reason, by: By = "", json: JsonFile = None) -> None:
    """Approve the plan of a case, as another person than the one who opened it."""
    _act("approve", id, where, reason, by, json)


def apply(id: CaseId, /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Apply an approved case: correct the events, repair the projections, and run the reactions again.

    After any failure, run the command again: it continues, and each correction takes effect once. The exit code is 1 if
    a correction was refused or a reaction failed; a failed one is tried again the next time.
    """
    case = _act("apply", id, where, reason, "", json).case
    refused = [one for one in case.outcomes if one.error]
    failed = failed_reruns(case.rerun)
    if refused or failed:
        wrong = [f"{counted(len(refused), 'correction')} refused"] if refused else []
        wrong += [f"{counted(len(failed), 'reaction')} failed again"] if failed else []
        raise Problem(f"{', '.join(wrong)}: actorium cases report {id} --at {where.at}")


def settle(
    id: CaseId,
    action: str,
    saga_type: str,
    saga_id: str,
    /,
    *,
    where: Where,
    reason: Reason,
    by: By = "",
    json: JsonFile = None,
) -> None:
    """Decide what becomes of a saga that the events of a case touched, once the case is applied.

    Parameters
    ----------
    action
        leave; retry, skip, complete or compensate a stuck saga; restart one that has ended, as a new run.
    saga_type
        The type of the saga.
    saga_id
        The id of the saga.
    """
    _act("settle", id, where, reason, by, json, action=action, saga_type=saga_type, saga_id=saga_id)


def close(id: CaseId, /, *, where: Where, reason: Reason, by: By = "", json: JsonFile = None) -> None:
    """Close an applied case; the outlets and reactions that it held go on."""
    _act("close", id, where, reason, by, json)


def cancel(id: CaseId, /, *, where: Where, reason: Reason, by: By = "", json: JsonFile = None) -> None:
    """Give a case up before it is applied; the outlets and reactions that it held go on."""
    _act("cancel", id, where, reason, by, json)


def _act(step: str, id: str, where: Where, reason: str, by: str, json: Path | None, **more: Any) -> CaseActed:
    screen = screen_beside(json)
    with reached(where, screen) as application:
        body = {"id": id, "reason": reason, "by": by, **more}
        acted = application.carry_out(f"cases/{step}", CaseActed, **body)
    if json is not None:
        write_json(acted, json)
    _print(screen, acted.case)
    return acted


def _print(screen: Screen, case: CaseView) -> None:
    by = [(" opened by", case.opened_by), (" approved by", case.approved_by), (" closed by", case.closed_by)]
    people = ",".join(f"{what} {name}" for what, name in by if name)
    screen.say(f"{case.id} is {case.status}: {counted(len(case.events), 'event')},{people}: {case.reason}")
    if case.held:
        screen.say(f"  holds {', '.join(case.held)}")
    if case.corrections:
        screen.say(f"  {counted(len(case.corrections), 'correction')} planned")
    for mark in case.marks:
        screen.say(f"  {mark.follower} skips {counted(len(mark.positions), 'event')}")
    for name in case.repairs:
        screen.say(f"  {name} {'is repaired' if name in case.repaired else 'will be repaired'}")
    for name, events in case.reruns.items():
        outcomes = case.rerun.get(name, {})
        failed = sum(bool(error) for error in outcomes.values())
        ran = f"ran again for {len(outcomes) - failed:,} of" if outcomes else "will run again for"
        screen.say(f"  {name} {ran} {counted(len(events), 'event')}{f', {failed:,} failed' if failed else ''}")
    if case.outcomes:
        refused = sum(bool(one.error) for one in case.outcomes)
        screen.say(f"  {len(case.outcomes) - refused:,} corrected, {refused:,} refused")
    for saga, action in case.sagas.items():
        screen.say(f"  {saga}: {action}")


def _plan_file(file: Path) -> PlanFile:
    try:
        return msgspec.json.decode(file.read_bytes(), type=PlanFile)
    except (OSError, msgspec.DecodeError) as error:
        raise WrongUse(f"--file {file}: {error}") from error


def _command(event: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(fields)
    type = rest.pop("type", None)
    if not isinstance(type, str):
        raise WrongUse(f'the command for {event} needs its stored name: {{"type": "…", "to": "…", …}}')
    return {"type": type, "fields": rest}
