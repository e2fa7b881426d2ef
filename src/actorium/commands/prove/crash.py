"""`actorium prove crash`: a process under load that is killed again and again, and loses nothing."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from actorium.commands.json_report import JsonFile, screen_beside
from actorium.commands.problem import Interrupted, Problem, WrongUse, require_place_for
from actorium.commands.prove.faults import ProofOutcome, audit_counts, conclude
from actorium.store.wording import counted

if TYPE_CHECKING:
    from actorium.examples.bank.crashes.kills import KillFindings


def crash(
    *,
    kills: Annotated[int, Parameter(validator=Number(gte=1))] = 200,
    db: Path | None = None,
    seed: int = 1,
    json: JsonFile = None,
) -> None:
    """Kill a bank under load with SIGKILL, restart it, and check that no acknowledged command is lost.

    After each kill the whole log is read: every acknowledged command must be there once, at the acknowledged position,
    with no gap in any stream. The next process sends the last commands again, and they must not take effect twice. The
    exit code is 1 if anything is lost, duplicated or out of order.

    Parameters
    ----------
    kills
        How many times to kill the process.
    db
        The SQLite file of the log, which must not exist yet. Without this option, the log is temporary.
    seed
        The seed that determines when to kill the process.
    """
    from actorium.examples.bank.crashes.crash import CrashFailed
    from actorium.examples.bank.crashes.kills import Kills

    if db is not None:
        require_place_for(db)
        if db.exists():
            raise WrongUse(f"{db} already exists: name a new file with --db")
    screen, began = screen_beside(json), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="actorium-crash-") as folder:
        run = Kills(db or Path(folder) / "bank.db", seed=seed)
        try:
            screen.say(f"killing a bank under load {counted(kills, 'time')}")
            with screen.progress("kills", kills) as update:
                run.run(kills, update)
        except CrashFailed as error:
            raise Problem(f"{error}") from None
        except KeyboardInterrupt:
            found = run.findings
            raise Interrupted(
                f"stopped by Ctrl-C after {counted(found.kills, 'kill')}: {found.lost:,} lost, "
                f"{found.duplicated:,} duplicated, {counted(found.gaps, 'gap')}"
            ) from None
    conclude(screen, run.findings, _outcome(run.findings, time.perf_counter() - began), seed, json)


def _outcome(found: KillFindings, took_s: float) -> ProofOutcome:
    counts = {
        **audit_counts(found),
        "commands durable but not acknowledged before the kill": found.unannounced,
        "events in the log": found.events,
    }
    rows = [[name, f"{count:,}"] for name, count in counts.items()]
    rows.append(["slowest restart (ms)", f"{found.slowest_restart_ms:,.0f}"])
    kept = f"all {found.acknowledged:,} acknowledged commands found after every kill, 0 lost, 0 duplicated, 0 gaps"
    return ProofOutcome(f"{counted(found.kills, 'kill')} by SIGKILL", rows, kept, took_s)
