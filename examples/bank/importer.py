"""`Importer`: replays rows through a runtime, each as one command with an id of its own.

Invariants:

- at most one command per account is under way, so that an account's rows take effect in the order of the file whatever
  becomes of one of them: a row whose outcome is unknown stops its account, nothing overtakes it;
- at most `max_pending` rows are read and not answered; accounts are independent of each other, and that is where the
  concurrency comes from;
- a command's id follows from its row alone, so that a second import finds its own first one in the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Iterable
from typing import Literal

import msgspec

from actorium import Ack, AlreadyExists, ConfigurationError, Runtime
from actorium.examples.bank.domain import Credit, Debit, OpenAccount
from actorium.examples.bank.transactions import BadRow, Transaction
from actorium.store.errors import Refused

MAX_PENDING = 1_000
MAX_BAD_ROWS = 10_000

OnBadRow = Literal["skip", "stop"]


def command_id(transaction_id: str) -> str:
    """Return the id of the command that books a transaction."""
    return f"berka-{transaction_id}"


def opening_id(account: str) -> str:
    """Return the id of the command that opens an account."""
    return f"berka-open-{account}"


class TooManyBadRows(Exception):
    """So many rows were not taken that the file is hardly what it should be."""


class ImportReport(msgspec.Struct):
    """How far an import came.

    booked: transactions that this import brought into the log. found: those that the log had before. opened: accounts
    that this import opened. bad: rows that were not taken. under_way: commands sent and not answered. stopped: it
    ended before the file did.
    """

    booked: int = 0
    found: int = 0
    opened: int = 0
    bad: list[BadRow] = []
    under_way: int = 0
    stopped: bool = False

    @property
    def done(self) -> int:
        """Rows that are settled, one way or the other."""
        return self.booked + self.found + len(self.bad)


class Importer:
    """One import into one runtime.

    known: command ids that are in the log for certain; their rows are counted as found and not sent. Without it they
    are sent, and the log itself says that they took effect before: slower, and no memory of the past is needed.
    on_bad_row: `skip` reports a row that cannot be read, or that the account refuses, and goes on; `stop` takes no row
    after it. on_ack: called with each new answer, before anything else happens. on_progress: called with the report
    when a row is settled. max_pending: rows read and not answered. max_bad_rows: more than this raise TooManyBadRows.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        known: Container[str] = (),
        on_bad_row: OnBadRow = "skip",
        on_ack: Callable[[Ack], None] | None = None,
        on_progress: Callable[[ImportReport], None] | None = None,
        max_pending: int = MAX_PENDING,
        max_bad_rows: int = MAX_BAD_ROWS,
    ) -> None:
        if on_bad_row not in ("skip", "stop"):
            raise ConfigurationError(f"on_bad_row={on_bad_row!r}: it is 'skip' or 'stop'")
        self._runtime = runtime
        self._known = known
        self._on_bad_row = on_bad_row
        self._on_ack = on_ack
        self._on_progress = on_progress
        self._max_bad_rows = max_bad_rows
        self._room = asyncio.Semaphore(max_pending)
        self._waiting: dict[str, deque[Transaction]] = {}
        self._opened: set[str] = set()
        self._begins_after = 0  # the log's last position before this import
        self._failure: Exception | None = None
        self.report = ImportReport()

    def stop(self) -> None:
        """Take no more rows; those taken are still carried out, then `run` returns."""
        self.report.stopped = True

    async def run(self, rows: Iterable[Transaction | BadRow]) -> ImportReport:
        """Carry out rows until they end or a reason to stop comes; return the report.

        Raises what the runtime raises where the outcome of a row is unknown (CommitUnknown, CommandTimeout, …): the
        next import of the same rows goes on where the log ends. Raises TooManyBadRows.
        """
        self._begins_after = self._runtime.statistics().position
        async with asyncio.TaskGroup() as accounts:
            try:
                await self._take(rows, accounts)
            except Exception as error:
                self._failure = self._failure or error  # raised below: the group would wrap it
        if self._failure is not None:
            self.report.stopped = True
            raise self._failure
        return self.report

    async def _take(self, rows: Iterable[Transaction | BadRow], accounts: asyncio.TaskGroup) -> None:
        for row in rows:
            if isinstance(row, BadRow):
                self._not_taken(row)
            elif command_id(row.id) in self._known:
                self.report.found += 1
                self._progress()
            else:
                await self._room.acquire()
                waiting = self._waiting.get(row.account)
                if waiting is None:
                    self._waiting[row.account] = waiting = deque()
                    accounts.create_task(self._carry_out(row.account, waiting))
                waiting.append(row)
            if self.report.stopped or self._failure is not None:
                return

    async def _carry_out(self, account: str, waiting: deque[Transaction]) -> None:
        """Carry out what waits for one account, row by row, and end when nothing does."""
        while waiting:
            try:
                if self._failure is None:
                    await self._open(account)
                    await self._book(waiting[0])
            except Exception as error:
                self._failure = self._failure or error
            finally:
                waiting.popleft()
                self._room.release()
        del self._waiting[account]

    async def _open(self, account: str) -> None:
        if account in self._opened:
            return
        try:
            # What an account owed in history it may owe here: the bank has already said yes.
            ack = await self._send(OpenAccount(account, overdraft_limit=None), opening_id(account))
            self.report.opened += not ack.duplicate
        except AlreadyExists:
            pass  # opened by somebody else, on their terms
        self._opened.add(account)

    async def _book(self, row: Transaction) -> None:
        try:
            ack = await self._send(_command(row), command_id(row.id))
        except Refused as refusal:
            self._not_taken(BadRow(row.line, f"transaction {row.id} of account {row.account}: {refusal}"))
            return
        if not ack.duplicate:
            self.report.booked += 1
        elif ack.position <= self._begins_after:
            self.report.found += 1
        else:
            self._not_taken(BadRow(row.line, f"transaction {row.id} is in the file twice: the first is booked"))
            return
        self._progress()

    async def _send(self, command: OpenAccount | Credit | Debit, id: str) -> Ack:
        self.report.under_way += 1
        try:
            ack = await self._runtime.send(command, command_id=id)
        finally:
            self.report.under_way -= 1
        if self._on_ack is not None and not ack.duplicate:
            self._on_ack(ack)
        return ack

    def _not_taken(self, row: BadRow) -> None:
        if len(self.report.bad) >= self._max_bad_rows:
            self._failure = self._failure or TooManyBadRows(
                f"more than {self._max_bad_rows} bad rows, the last is {row}: is this the right file?"
            )
            return
        self.report.bad.append(row)
        if self._on_bad_row == "stop":
            self.stop()
        self._progress()

    def _progress(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.report)


def _command(row: Transaction) -> Credit | Debit:
    return (Credit if row.is_credit else Debit)(
        row.account,
        row.amount,
        row.booked_on,
        row.operation,
        row.purpose,
        row.counterparty_bank,
        row.counterparty_account,
    )
