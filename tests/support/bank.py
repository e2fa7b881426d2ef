"""The aggregates that the engine's tests run: an account with a creating command, and a tally without one."""

from actorium import Aggregate, Command, Event, Rejected, create, decide, evolve
from actorium.types import Metadata


class OpenAccount(Command):
    owner: str = "somebody"


class Deposit(Command):
    amount: int


class Withdraw(Command):
    amount: int


class CloseDown(Command):
    """Takes everything out in as many events as it is told."""

    parts: int = 2


class Look(Command):
    """Changes nothing."""


class AccountOpened(Event):
    owner: str


class Deposited(Event):
    amount: int


class Withdrawn(Event):
    amount: int


class Account(Aggregate):
    owner: str = ""
    balance: int = 0

    @create
    def open(self, command: OpenAccount) -> AccountOpened:
        return AccountOpened(command.owner)

    @decide
    def deposit(self, command: Deposit) -> Deposited:
        return Deposited(command.amount)

    @decide
    def withdraw(self, command: Withdraw) -> Withdrawn:
        if command.amount > self.balance:
            raise Rejected("insufficient funds", balance=self.balance)
        return Withdrawn(command.amount)

    @decide
    def close_down(self, command: CloseDown) -> list[Withdrawn]:
        share, rest = divmod(self.balance, command.parts)
        return [Withdrawn(share + (rest if part == 0 else 0)) for part in range(command.parts)]

    @decide
    def look(self, command: Look) -> None:
        return None

    @evolve
    def opened(self, event: AccountOpened) -> None:
        self.owner = event.owner

    @evolve
    def deposited(self, event: Deposited) -> None:
        self.balance += event.amount

    @evolve
    def withdrawn(self, event: Withdrawn) -> None:
        self.balance -= event.amount


class Add(Command):
    """Adds to a tally, as one event per step; refused when `needs` more than is there."""

    amount: int = 1
    events: int = 1
    needs: int = 0


class Stay(Command):
    """Changes nothing."""


class FailToDecide(Command):
    """Meets a bug in its handler."""


class FailToEvolve(Command):
    """Is decided well; its event meets a bug."""


class Reveal(Command):
    """Puts its own metadata into its event."""


class Added(Event):
    amount: int


class Cursed(Event):
    """Whatever evolves it raises."""


class Revealed(Event):
    command_id: str
    flow_id: str


class Tally(Aggregate):
    total: int = 0
    count: int = 0

    @decide
    def add(self, command: Add) -> list[Added]:
        if command.needs > self.total:
            raise Rejected("not enough", total=self.total)
        return [Added(command.amount) for _ in range(command.events)]

    @decide
    def stay(self, command: Stay) -> None:
        return None

    @decide
    def fail_to_decide(self, command: FailToDecide) -> Added:
        raise ZeroDivisionError("a bug in decide")

    @decide
    def fail_to_evolve(self, command: FailToEvolve) -> Cursed:
        return Cursed()

    @decide
    def reveal(self, command: Reveal, metadata: Metadata) -> Revealed:
        return Revealed(metadata.command_id, metadata.flow_id)

    @evolve
    def added(self, event: Added) -> None:
        self.total += event.amount
        self.count += 1

    @evolve
    def cursed(self, event: Cursed) -> None:
        self.total = -1_000_000
        raise ZeroDivisionError("a bug in evolve")

    @evolve
    def revealed(self, event: Revealed) -> None:
        self.count += 1
