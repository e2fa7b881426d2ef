"""The domain of the mutants: accounts, transfers with a fee between them, and a statement of all movements."""

from actorium import (
    Aggregate,
    Command,
    Event,
    Projection,
    Reader,
    RecordedEvent,
    Rejected,
    Saga,
    Snapshots,
    Transaction,
    create,
    decide,
    evolve,
    on,
    query,
    starts,
    step,
)


class Open(Command):
    amount: int
    limit: int = 1_000


class Deposit(Command):
    amount: int


class Withdraw(Command):
    amount: int


class PaidIn(Event):
    amount: int


class Opened(PaidIn):
    limit: int


class Deposited(PaidIn):
    pass


class Withdrawn(Event):
    amount: int


class RanLow(Event):
    """The balance fell below `LOW`."""

    balance: int


LOW = 20


class Account(Aggregate):
    """Holds money, between zero and its limit."""

    snapshots = Snapshots(every=3)

    balance: int = 0
    limit: int = 0
    ran_low: int = 0

    @create
    def open(self, command: Open) -> Opened:
        return Opened(command.amount, command.limit)

    @decide
    def deposit(self, command: Deposit) -> Deposited:
        if self.balance + command.amount > self.limit:
            raise Rejected("over its limit", balance=self.balance)
        return Deposited(command.amount)

    @decide
    def withdraw(self, command: Withdraw) -> list[Withdrawn | RanLow]:
        if command.amount > self.balance:
            raise Rejected("insufficient funds", balance=self.balance)
        left = self.balance - command.amount
        return [Withdrawn(command.amount), RanLow(left)] if left < LOW else [Withdrawn(command.amount)]

    @evolve
    def opened(self, event: Opened) -> None:
        self.balance, self.limit = event.amount, event.limit

    @evolve
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount

    @evolve
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount

    @evolve
    def low(self, event: RanLow) -> None:
        self.ran_low += 1


class Ask(Command):
    """Requests a transfer."""

    source: str
    target: str
    amount: int


class TransferAsked(Event):
    source: str
    target: str
    amount: int


class Desk(Aggregate):
    asked: int = 0

    @decide
    def ask(self, command: Ask) -> TransferAsked:
        return TransferAsked(command.source, command.target, command.amount)

    @evolve
    def transfer_asked(self, event: TransferAsked) -> None:
        self.asked += 1


FEE = 1
"""What the bank takes for a transfer, and gives back where the transfer is undone."""


class Transfer(Saga):
    source: str = ""
    target: str = ""
    amount: int = 0

    @starts
    def asked(self, event: TransferAsked) -> None:
        self.source, self.target, self.amount = event.source, event.target, event.amount

    @step
    def debit(self) -> Withdraw:
        return Withdraw(self.source, self.amount + FEE)

    @debit.undo
    def refund(self) -> Deposit:
        return Deposit(self.source, self.amount + FEE)

    @step
    def charge(self) -> Deposit:
        return Deposit("bank", FEE)

    @charge.undo
    def pay_back(self) -> Withdraw:
        return Withdraw("bank", FEE)

    @step(timeout_s=3.0)
    def credit(self) -> Deposit:
        return Deposit(self.target, self.amount)

    @credit.undo
    def take_back(self) -> Withdraw:
        return Withdraw(self.target, self.amount)


class Statement(Projection):
    """The movements of each account, in tables."""

    schema = "CREATE TABLE statement (id TEXT PRIMARY KEY, balance INTEGER NOT NULL, events INTEGER NOT NULL)"

    @on
    def paid_in(self, event: PaidIn, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        self._move(event.amount, recorded, tx)

    @on
    def withdrawn(self, event: Withdrawn, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        self._move(-event.amount, recorded, tx)

    @on
    def ran_low(self, event: RanLow, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        self._move(0, recorded, tx)

    @query
    async def of(self, db: Reader, id: str) -> tuple[int, int]:
        row = await db.fetch_one("SELECT balance, events FROM statement WHERE id = ?", id)
        return (row[0], row[1]) if row else (0, 0)

    def _move(self, amount: int, recorded: RecordedEvent[Event], tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO statement VALUES (?, ?, 1) "
            "ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, events = events + 1",
            recorded.stream_id,
            amount,
        )
