"""`ImportRun`: one import, shown on a screen: its progress, its result, and whether the balances are right."""

from __future__ import annotations

import asyncio
import shlex
import signal
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from actorium import Runtime
from actorium.commands.problem import Interrupted, Problem, WrongUse
from actorium.commands.screen import Screen
from actorium.examples.bank.check import Check, check, sums
from actorium.examples.bank.domain import Account
from actorium.examples.bank.importer import Importer, ImportReport, OnBadRow, TooManyBadRows
from actorium.examples.bank.runs import PROGRAM
from actorium.examples.bank.transactions import NoTransactionsFile, count_rows, koruna, read_transactions
from actorium.store.errors import Transient
from actorium.store.sqlite import SQLiteStore
from actorium.store.wording import counted

_BAD_ROWS_SHOWN = 20
_WRONG_SHOWN = 10
_UNLESS_SKIPPED: dict[OnBadRow, list[str]] = {"skip": [], "stop": ["--on-bad-row", "stop"]}


class ImportRun:
    """Imports one file of `total` rows into a running runtime.

    resume_command: the command line that continues after an interruption.
    is_kept: whether the log still exists afterwards.
    """

    def __init__(
        self, screen: Screen, runtime: Runtime, file: Path, *, total: int, resume_command: str, is_kept: bool = True
    ) -> None:
        self._screen = screen
        self._runtime = runtime
        self._file = file
        self._total = total
        self._resume_command = resume_command
        self._is_kept = is_kept
        self.report = ImportReport()

    async def run(self, *, known: Container[str] = (), on_bad_row: OnBadRow = "skip") -> None:
        """Import the file and report on its rows; raise Problem if the import did not finish."""
        began = time.perf_counter()
        with self._screen.progress("importing", self._total) as update:
            importer = Importer(
                self._runtime, known=known, on_bad_row=on_bad_row, on_progress=lambda report: update(report.done)
            )
            self.report = importer.report
            with _stopped_by_ctrl_c(importer) as pressed:
                try:
                    await importer.run(read_transactions(self._file))
                except TooManyBadRows as error:
                    raise Problem(f"{error} {self._so_far()}") from None
                except Transient as error:
                    raise Problem(f"{error}\n{self._so_far()}; continue with: {self._resume_command}") from error
        self._say_what_was_done(time.perf_counter() - began)
        if pressed:
            raise Interrupted(f"stopped by Ctrl-C. {self._so_far()}; continue with: {self._resume_command}")
        if self.report.stopped:
            raise Problem(f"stopped at a bad row. {self._so_far()}; fix it and continue with: {self._resume_command}")

    async def check(self) -> Check:
        """Compare the balances with sums computed from the file, and report the result."""
        without = [row.line for row in self.report.bad]
        outcome = await check(self._runtime, sums(self._file, without_lines=without))
        accounts, compared = len(outcome.lines), len(outcome.compared_with_print)
        self._screen.say(
            f"  {accounts - len(outcome.wrong):,} of {accounts:,} balances equal the exact sum of the file's amounts"
        )
        self._screen.say(
            f"  {compared - len(outcome.far_from_print):,} of {compared:,} are within 0.10 × rows of the balance "
            "printed by the bank"
        )
        if compared < accounts:
            self._screen.say(
                f"  {accounts - compared:,} accounts with bad rows are not compared with the printed balances"
            )
        for line in [*outcome.wrong, *outcome.far_from_print][:_WRONG_SHOWN]:
            balance = (
                "no account"
                if line.balance is None
                else f"{koruna(line.balance)} from {counted(line.transactions, 'row')}"
            )
            self._screen.complain(
                f"  account {line.account}: the log has {balance}, the file has {koruna(line.sum.exact)} from "
                f"{counted(line.sum.rows, 'row')}, the bank printed {koruna(line.sum.printed)}"
            )
        return outcome

    def _say_what_was_done(self, took_s: float) -> None:
        report = self.report
        self._screen.say(
            f"  {report.done:,} of {self._total:,} rows in {took_s:.2f} s, {report.done / took_s:,.0f} per second: "
            f"{report.booked:,} new, {report.found:,} already in the log, {len(report.bad):,} bad; "
            f"{counted(report.opened, 'account')} opened"
        )
        for row in report.bad[:_BAD_ROWS_SHOWN]:
            self._screen.complain(f"  {row}")
        if len(report.bad) > _BAD_ROWS_SHOWN:
            self._screen.complain(f"  and {counted(len(report.bad) - _BAD_ROWS_SHOWN, 'more bad row')}")

    def _so_far(self) -> str:
        settled = self.report.booked + self.report.found
        where = (
            "are safely in the log" if self._is_kept else "were in the log, which was temporary and has been removed"
        )
        return f"{settled:,} transactions of {self._file} {where}"


def import_into(screen: Screen, file: Path, db: Path, *, on_bad_row: OnBadRow) -> None:
    """Import a file into a log that may have part of it, and check the balances; raise Problem for a difference."""
    asyncio.run(_import_into(screen, file, db, on_bad_row, rows_in(file)))


def rows_in(file: Path) -> int:
    """Return the number of rows of a file; raise WrongUse if it is not a transactions file."""
    try:
        next(read_transactions(file), None)  # checks the header
        return count_rows(file)
    except NoTransactionsFile as error:
        raise WrongUse(str(error)) from None


async def _import_into(screen: Screen, file: Path, db: Path, on_bad_row: OnBadRow, total: int) -> None:
    store = SQLiteStore(db)
    async with Runtime([Account], store=store) as runtime:
        before = runtime.statistics().position
        screen.say(f"{file} into {store.describe()}, which has {counted(before, 'event')}")
        resume_command = shlex.join([*PROGRAM, "import", f"{file}", "--db", f"{db}", *_UNLESS_SKIPPED[on_bad_row]])
        run = ImportRun(screen, runtime, file, total=total, resume_command=resume_command)
        await run.run(on_bad_row=on_bad_row)
        after = runtime.statistics().position
        screen.say(f"  the log ends at position {after:,}{', as before: nothing changed' if after == before else ''}")
        outcome = await run.check()
        if outcome.wrong:
            raise Problem("the balances do not match the file: does the log contain transactions of another file?")
        if outcome.far_from_print:
            raise Problem("the printed balances in the file do not match its amounts")


@contextmanager
def _stopped_by_ctrl_c(importer: Importer) -> Iterator[list[bool]]:
    """Let the first Ctrl-C end an import gracefully, the second immediately; yield a list that is filled by then."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    pressed: list[bool] = []

    def stop() -> None:
        pressed.append(True)
        importer.stop()
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield pressed
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)
