"""`actorium submissions`: list submitted commands, cancel them, or run them now."""

from __future__ import annotations

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import print_rows, report_action, when
from actorium.commands.live.reach import Reason, Where, reached
from actorium.console.api.views import SubmissionPage


def list_submissions(
    *, where: Where, type: str = "", status: str = "", after: str = "", limit: int = 50, json: JsonFile = None
) -> None:
    """List submitted commands by type and status.

    Parameters
    ----------
    type
        Only commands of this type.
    status
        Only those that are waiting, done, failed or cancelled.
    after
        Continue after the command with this id.
    limit
        How many to list, at most 500.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        page = application.get("submissions", SubmissionPage, type=type, status=status, after=after, limit=limit)
    if json is not None:
        write_json(page, json)
    rows = [(one.id, one.type, one.status, when(one.due_at), one.reason) for one in page.submissions]
    print_rows(screen, ("id", "command", "status", "due", "reason"), rows, "no such submissions")
    if page.after:
        screen.say(f"more: --after {page.after}")


def cancel(ids: list[str], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Cancel submitted commands that wait.

    Parameters
    ----------
    ids
        The ids of the commands.
    """
    with reached(where, screen_beside(json)) as application:
        report_action(application.act("submissions/cancel", ids=ids, reason=reason), json)


def run_now(ids: list[str], /, *, where: Where, reason: Reason, json: JsonFile = None) -> None:
    """Make submitted commands due now.

    Parameters
    ----------
    ids
        The ids of the commands.
    """
    with reached(where, screen_beside(json)) as application:
        report_action(application.act("submissions/run-now", ids=ids, reason=reason), json)
