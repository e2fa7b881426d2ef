"""`Demo`: import bank transactions, kill the import halfway, recover, and finish it, step by step on the screen."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import tempfile
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from actorium import Runtime
from actorium.commands.problem import Interrupted, Problem, WrongUse
from actorium.commands.screen import Screen
from actorium.examples.bank.audit import Audit, audit
from actorium.examples.bank.check import Check
from actorium.examples.bank.crashes.crash import Crash, CrashFailed
from actorium.examples.bank.domain import Account
from actorium.examples.bank.generate import DEFAULT_ROWS, DEFAULT_SEED, generate
from actorium.examples.bank.importer import opening_id
from actorium.examples.bank.runs import PROGRAM
from actorium.examples.bank.runs.imports import ImportRun, rows_in
from actorium.examples.bank.transactions import koruna
from actorium.store.sqlite import SQLiteStore
from actorium.store.wording import counted

_OPENING = opening_id("")
_BALANCES_SHOWN = 5
_LOST_SHOWN = 10


class Demo:
    """One run of the demonstration, from an empty log to the last check."""

    def __init__(
        self, screen: Screen, *, data: Path | None, rows: int | None, seed: int | None, db: Path | None, keep: bool
    ) -> None:
        self._screen = screen
        self._data = data
        self._rows = DEFAULT_ROWS if rows is None else rows
        self._seed = DEFAULT_SEED if seed is None else seed
        self._db = db
        self._keep = keep

    def run(self) -> None:
        """Run the demonstration; raise Problem if a promise is broken."""
        with ExitStack() as cleanup:
            folder = Path(tempfile.mkdtemp(prefix="actorium-demo-"))
            if not self._keep:
                cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            file = self._data or self._own_set(folder)
            db = self._db or folder / "bank.db"
            total = rows_in(file)
            if total < 2:
                raise WrongUse(f"{file} has {counted(total, 'row')}: too few to stop halfway")
            crash = self._crash(file, db, total)
            asyncio.run(self._recover(file, db, crash, total))
            if self._keep:
                self._screen.say(f"kept: {folder}")

    def _own_set(self, folder: Path) -> Path:
        file = folder / "transactions.csv"
        generate(file, rows=self._rows, seed=self._seed)
        return file

    def _crash(self, file: Path, db: Path, total: int) -> Crash:
        """Import until SIGKILL, halfway."""
        origin = file if self._data else f"seed {self._seed}"
        self._screen.say(f"{total:,} bank transactions ({origin}) into {SQLiteStore(db).describe()}")
        self._screen.head("Import, in a process that kills itself halfway")
        crash = Crash()
        try:
            with self._screen.progress("importing", total) as update:
                crash.run(file, db, kill_after=max(1, total // 2), on_progress=update)
        except CrashFailed as error:
            raise Problem(f"{error}") from None
        except KeyboardInterrupt:
            raise Interrupted(self._interrupted(file, db, len(crash.acknowledged))) from None
        transactions, openings = _kinds(crash.acknowledged)
        self._screen.say(
            f"  process {crash.pid} was killed by SIGKILL with {counted(crash.under_way, 'command')} in flight"
        )
        self._screen.say(
            f"  acknowledged before the kill: {transactions:,} transactions and {openings:,} account openings, in "
            f"{crash.busy_s:.2f} s, {len(crash.acknowledged) / max(crash.busy_s, 1e-9):,.0f} per second"
        )
        return crash

    async def _recover(self, file: Path, db: Path, crash: Crash, total: int) -> None:
        """Restart from the log, look for the acknowledged commands, continue, and check everything."""
        self._screen.head("Restart from the log")
        began = time.perf_counter()
        async with Runtime([Account], store=SQLiteStore(db)) as runtime:
            opened_s = time.perf_counter() - began
            found = await audit(runtime)
            read_s = time.perf_counter() - began - opened_s
            self._screen.say(
                f"  opened in {opened_s * 1_000:.0f} ms; all {found.events:,} events of {len(found.streams):,} "
                f"accounts read in {read_s * 1_000:.0f} ms, {found.events / read_s:,.0f} per second"
            )
            self._say_what_was_found(crash, found)
            self._screen.head("Continue where the log ends")
            is_kept = self._keep or self._db is not None
            run = ImportRun(
                self._screen, runtime, file, total=total, resume_command=self._resume_command(file, db), is_kept=is_kept
            )
            await run.run(known=found.positions)
            self._screen.head("Check")
            outcome = await run.check()
            self._show_balances(outcome)
            self._conclude(crash, await audit(runtime), outcome)

    def _say_what_was_found(self, crash: Crash, found: Audit) -> None:
        lost = found.lost(crash.acknowledged)
        acknowledged, _ = _kinds(crash.acknowledged)
        kept, _ = _kinds([id for id in crash.acknowledged if found.positions.get(id) == crash.acknowledged[id]])
        unannounced = len(found.positions.keys() - crash.acknowledged.keys())
        self._screen.say(f"  recovered: {kept:,} of {acknowledged:,} acknowledged transactions")
        self._screen.say(
            f"  durable but not yet acknowledged when the process was killed: {counted(unannounced, 'command')}"
        )
        for id in lost[:_LOST_SHOWN]:
            self._screen.complain(f"  lost: {id}, acknowledged at position {crash.acknowledged[id]}")

    def _show_balances(self, outcome: Check) -> None:
        busiest = sorted(outcome.lines, key=lambda line: -line.sum.rows)[:_BALANCES_SHOWN]
        self._screen.table(
            ["account", "transactions", "balance", "exact sum", "printed by the bank"],
            [
                [
                    line.account,
                    f"{line.transactions:,}",
                    "none" if line.balance is None else koruna(line.balance),
                    koruna(line.sum.exact),
                    koruna(line.sum.printed),
                ]
                for line in busiest
            ],
        )

    def _conclude(self, crash: Crash, final: Audit, outcome: Check) -> None:
        lost, _ = _kinds(final.lost(crash.acknowledged))
        lost_openings = len(final.lost(crash.acknowledged)) - lost
        acknowledged, _ = _kinds(crash.acknowledged)
        for gap in final.gaps[:_LOST_SHOWN]:
            self._screen.complain(f"  {gap}")
        if final.gaps or final.duplicated or lost or lost_openings or not outcome.holds:
            raise Problem(
                f"FAILED: {acknowledged - lost:,} of {acknowledged:,} acknowledged transactions recovered, "
                f"{lost:,} lost, {lost_openings:,} openings lost, {len(final.duplicated):,} duplicated, "
                f"{len(final.gaps):,} gaps, {len(outcome.wrong):,} wrong balances, {len(outcome.far_from_print):,} not "
                "near the printed balance"
            )
        self._screen.say(
            f"all {acknowledged:,} acknowledged transactions recovered, 0 lost, 0 duplicated", style="bold green"
        )

    def _resume_command(self, file: Path, db: Path) -> str:
        gone = not self._keep and (self._db is None or self._data is None)
        return (
            f"{' '.join(PROGRAM)} demo, from the beginning"
            if gone
            else shlex.join([*PROGRAM, "import", f"{file}", "--db", f"{db}"])
        )

    def _interrupted(self, file: Path, db: Path, acknowledged: int) -> str:
        command = self._resume_command(file, db)
        return f"stopped by Ctrl-C after {acknowledged:,} acknowledged commands; continue with: {command}"


def _kinds(command_ids: Collection[str]) -> tuple[int, int]:
    """Return how many of the command ids are transactions, and how many open an account."""
    openings = sum(1 for id in command_ids if id.startswith(_OPENING))
    return len(command_ids) - openings, openings
