"""`actorium sagas`: find sagas, read their history, and repair those that are stuck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from cyclopts import Parameter

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import print_rows, report_outcomes, when
from actorium.commands.live.reach import Application, Reason, Where, reached
from actorium.commands.problem import WrongUse
from actorium.console.api.queries import TARGETS_MAX
from actorium.console.api.views import ActionOutcome, SagaPage, SagaTimeline

SagaType = Annotated[str, Parameter(help="The type of the saga, which is the name of its class unless it has another.")]
SagaIds = Annotated[list[str] | None, Parameter(help="The ids of the sagas.")]
AllStuck = Annotated[bool, Parameter(name="--all-stuck", negative=(), help="All sagas of the type that are stuck.")]


def list_sagas(
    *,
    where: Where,
    type: str = "",
    status: str = "",
    step: str = "",
    prefix: str = "",
    idle_s: float = 0.0,
    after: str = "",
    limit: int = 50,
    json: JsonFile = None,
) -> None:
    """List sagas by type, status, step, age and the start of their id.

    Parameters
    ----------
    type
        Only sagas of this type.
    status
        Only those that are running, undoing, failed (stuck), undone or completed.
    step
        Only those at this step.
    prefix
        Only those whose id starts with this.
    idle_s
        Only those that last changed at least this many seconds ago.
    after
        Continue after the saga with this id; needs --type.
    limit
        How many to list, at most 500.
    """
    if after and not type:
        raise WrongUse("--after continues within one type: give --type too")
    screen = screen_beside(json)
    with reached(where, screen) as application:
        page = application.get(
            "sagas",
            SagaPage,
            type=type,
            status=status,
            step=step,
            prefix=prefix,
            idle_s=idle_s,
            after_type=type if after else "",
            after_id=after,
            limit=limit,
        )
    if json is not None:
        write_json(page, json)
    rows = [(one.type, one.id, one.status, one.step, when(one.updated_at), one.reason) for one in page.sagas]
    print_rows(screen, ("type", "id", "status", "step", "changed", "reason"), rows, "no such sagas")
    if page.after_id:
        screen.say(f"more: --type {page.after_type} --after {page.after_id}")


def show(type: SagaType, id: str, /, *, where: Where, json: JsonFile = None) -> None:
    """Show a saga: its status, its fields, and its history line by line.

    The application must run: its code reads the saga.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        saga = application.get("saga", SagaTimeline, type=type, id=id)
    if json is not None:
        write_json(saga, json)
    at = f" at {saga.step}" if saga.step else ""
    screen.say(f"{saga.type}<{saga.id}> is {saga.status}{at}{': ' if saga.reason else ''}{saga.reason}")
    screen.say(f"  {saga.state}")
    for line in saga.history:
        tried = f", {line.attempts} attempts" if line.attempts > 1 else ""
        took = f"  ({line.took_s:.3g} s{tried})" if line.took_s else ""
        screen.say(f"  {when(line.at)}  {line.text}{took}")


def _action(name: str, says: str) -> Callable[..., None]:
    """Return the command that acts on stuck sagas; all of them have the same parameters."""

    def act(
        type: SagaType,
        ids: SagaIds = None,
        /,
        *,
        where: Where,
        reason: Reason,
        all_stuck: AllStuck = False,
        json: JsonFile = None,
    ) -> None:
        _act(name, type, ids, where, reason, all_stuck, json)

    act.__doc__ = says
    return act


retry = _action("retry", "Retry the current step or undo of stuck sagas.")
skip = _action("skip", "Treat the current step or undo of stuck sagas as done.")
complete = _action("complete", "End stuck sagas as completed, even if steps remain.")
compensate = _action("compensate", "Have stuck sagas undo their steps.")


def _act(
    action: str, type: str, ids: list[str] | None, where: Where, reason: str, all_stuck: bool, json: JsonFile
) -> None:
    if bool(ids) == all_stuck:
        raise WrongUse("name the sagas by their ids, or give --all-stuck")
    screen = screen_beside(json)
    outcomes: list[ActionOutcome] = []
    with reached(where, screen) as application:
        wanted = _stuck(application, type) if all_stuck else ids or []
        with screen.progress(action, len(wanted)) as done:
            for start in range(0, len(wanted), TARGETS_MAX):
                targets = [{"type": type, "id": id} for id in wanted[start : start + TARGETS_MAX]]
                outcomes += application.act(f"sagas/{action}", targets=targets, reason=reason).outcomes
                done(len(outcomes))
    if json is not None:
        write_json({"outcomes": outcomes}, json)
    report_outcomes(outcomes, screen)


def _stuck(application: Application, type: str) -> list[str]:
    found: list[str] = []
    after = ""
    while True:
        page = application.get(
            "sagas", SagaPage, type=type, status="failed", after_type=type if after else "", after_id=after, limit=500
        )
        found += [one.id for one in page.sagas]
        after = page.after_id
        if not after:
            return found
