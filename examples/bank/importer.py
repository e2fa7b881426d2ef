"""`Importer`: sends rows to a runtime, each as one command with its own id.

Invariants:

- At most one command per account is in flight, so an account's rows take effect in file order. If the outcome of a row
  is unknown, its account stops there and no later row overtakes it.
- At most `max_pending` rows are read but not answered. Accounts are independent of each other and run concurrently.
- A command's id is derived from its row alone, so a repeated import finds the earlier commands in the log.
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
    """So many rows were rejected that the file is probably the wrong one."""


class ImportReport(msgspec.Struct):
    """The progress of an import.

    booked: transactions that this import added to the log.
    found: transactions that were already in the log.
    opened: accounts that this import opened.
    bad: rows that were not imported.
    under_way: commands sent but not answered.
    stopped: the import ended before the file did.
    """

    booked: int = 0
    found: int = 0
    opened: int = 0
    bad: list[BadRow] = []
    under_way: int = 0
    stopped: bool = False

    @property
    def done(self) -> int:
        """The number of rows with a final result."""
        return self.booked + self.found + len(self.bad)


class Importer:
    """One import into one runtime.

    known: ids of commands that are certainly in the log; their rows are counted as found and not sent. Without it they
        are sent, and the log answers that they took effect before: slower, but no memory of the past is needed.
    on_bad_row: "skip" reports a row that cannot be read, or that the account rejects, and continues; "stop" ends the
        import at that row.
    on_ack: called with each new answer, before anything else happens.
    on_progress: called with the report when a row is finished.
    max_pending: the maximum number of rows read but not answered.
    max_bad_rows: more than this many bad rows raise TooManyBadRows.
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
            raise ConfigurationError(f"on_bad_row={on_bad_row!r}: use 'skip' or 'stop'")
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
        """Take no more rows; the rows already taken are finished, then `run` returns."""
        self.report.stopped = True

    async def run(self, rows: Iterable[Transaction | BadRow]) -> ImportReport:
        """Import rows until they end or the import stops; return the report.

        Raises TooManyBadRows, or the runtime's error if the outcome of a row is unknown (CommandTimeout, …). In
        that case, import the same rows again: the import continues at the end of the log.
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
        """Process the waiting rows of one account, one by one; return when none is left."""
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
            # What an account owed in the past, it may owe here: the bank has already agreed to it.
            ack = await self._send(OpenAccount(account, overdraft_limit=None), opening_id(account))
            self.report.opened += not ack.duplicate
        except AlreadyExists:
            pass  # already opened by someone else, on other terms
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
            self._not_taken(BadRow(row.line, f"transaction {row.id} occurs twice in the file: the first one is booked"))
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
