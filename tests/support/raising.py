"""User code that raises each kind of error at each place where a runtime calls it."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from actorium import (
    Ack,
    Aggregate,
    Command,
    CommandContext,
    Event,
    Next,
    Projection,
    Reader,
    RecordedEvent,
    Rejected,
    Retry,
    Saga,
    Snapshots,
    Transaction,
    create,
    decide,
    evolve,
    on,
    on_rejected,
    query,
    react,
    starts,
    step,
)
from actorium.errors import RuntimeClosed
from actorium.instruments import Instrument
from actorium.types import CloudEvent


class Stop(BaseException):
    """No Exception, as the errors of some test tools and extension modules are."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Unportable(Exception):
    """Cannot be pickled or copied: it holds a lock, and says so."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot be pickled")


KINDS: dict[str, Callable[[], BaseException]] = {
    "error": lambda: ValueError("usual"),
    "exit": lambda: SystemExit(3),
    "base": lambda: Stop("x"),
    "cancelled": asyncio.CancelledError,
    "generator exit": GeneratorExit,
    "stop iteration": lambda: StopIteration("x"),
    "group": lambda: BaseExceptionGroup("several", [Stop("y"), asyncio.CancelledError()]),
    "unprintable": Unprintable,
    "unportable": Unportable,
    "surrogate": lambda: FileNotFoundError(2, "No such file", "caf\udce9.txt"),
    "huge": lambda: ValueError("x" * 3_000_000),
    "closed": lambda: RuntimeClosed("another runtime has stopped"),
}


class Say(Command):
    where: str = ""
    what: str = ""


class Begin(Command):
    where: str = ""
    what: str = ""


class Said(Event):
    where: str
    what: str


class Note(Command):
    is_refused: bool = False


class Noted(Event):
    pass


def fail_at(where: str, message: Say | Begin | Said) -> None:
    """Raise the error that a message requests, if it is for this place."""
    if message.where == where:
        raise KINDS[message.what]()


def _is_due(state: Any, version: int) -> bool:
    if state.last is not None:
        fail_at("snapshots", state.last)
    return False


class Speaker(Aggregate):
    snapshots = Snapshots(when=_is_due)
    last: Said | None = None

    @decide
    def say(self, command: Say) -> Said:
        fail_at("decide", command)
        return Said(command.where, command.what)

    @evolve
    def said(self, event: Said) -> None:
        fail_at("evolve", event)
        self.last = event


class Founder(Aggregate):
    @create
    def begin(self, command: Begin) -> Noted:
        fail_at("create", command)
        return Noted()

    @evolve
    def noted(self, event: Noted) -> None: ...


class Notebook(Aggregate):
    notes: int = 0

    @decide
    def note(self, command: Note) -> Noted:
        if command.is_refused:
            raise Rejected("full", why=object())
        return Noted()

    @evolve
    def noted(self, event: Noted) -> None:
        self.notes += 1


class Words(Projection):
    """What was said, in memory."""

    words: list[str] = []

    @on
    def said(self, event: Said, recorded: RecordedEvent[Said]) -> None:
        self.words.append(recorded.stream_id)
        fail_at("memory", event)

    @query
    def all(self) -> list[str]:
        return self.words

    @query
    def failing(self, what: str) -> list[str]:
        raise KINDS[what]()

    @query
    async def failing_later(self, what: str) -> list[str]:
        await asyncio.sleep(1)
        raise KINDS[what]()


class Table(Projection):
    schema = "CREATE TABLE spoken (who TEXT NOT NULL)"

    @on
    def said(self, event: Said, recorded: RecordedEvent[Said], tx: Transaction) -> None:
        tx.execute("INSERT INTO spoken VALUES (?)", recorded.stream_id)
        fail_at("table", event)

    @query
    async def all(self, read: Reader) -> list[str]:
        return [who for (who,) in await read.fetch_all("SELECT who FROM spoken ORDER BY who")]

    @query
    async def failing(self, read: Reader, what: str) -> list[str]:
        await read.fetch_all("SELECT who FROM spoken")
        raise KINDS[what]()


ONCE = Retry(attempts=1)
HEARD: list[str] = []


@react(on_replay="run", retry=ONCE)
async def heard(event: Said, recorded: RecordedEvent[Said]) -> None:
    await asyncio.sleep(0)
    fail_at("react", event)
    HEARD.append(recorded.stream_id)


def _place(place: str) -> Callable[[RecordedEvent[Said]], str]:
    def correlate(recorded: RecordedEvent[Said]) -> str:
        fail_at(place, recorded.event)
        return recorded.stream_id

    return correlate


class Errand(Saga):
    """Two steps and an effect between them."""

    said: Said = Said("", "")

    @starts(correlate=_place("correlate"))
    def begins(self, event: Said) -> None:
        fail_at("starts", event)
        self.said = event

    @step
    def first(self) -> Note:
        return Note(f"first of {self.id}")

    @first.undo
    def undo_first(self) -> Note:
        fail_at("undo", self.said)
        return Note(f"undo of {self.id}")

    @step(undo=None, retry=Retry(attempts=2, backoff_s=0.1))
    async def effect(self) -> None:
        await asyncio.sleep(0)
        fail_at("effect", self.said)
        if self.said.where == "undo":
            raise Rejected("not now")

    @step
    def last(self) -> Note:
        fail_at("step", self.said)
        return Note(f"last of {self.id}")


class Free(Saga):
    """No steps: its command is refused, and the second event of a stream reaches its handler."""

    said: Said = Said("", "")

    @starts(correlate=lambda recorded: recorded.stream_id)
    def begins(self, event: Said) -> Note | None:
        fail_at("on", event)
        self.said = event
        return Note(f"free of {self.id}", is_refused=event.where == "on_rejected")

    @on_rejected
    def refused(self, command: Note) -> None:
        fail_at("on_rejected", self.said)


class Sink:
    """Takes an event at its second offer, if it is to fail at all."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.offers = 0

    async def __call__(self, event: CloudEvent) -> None:
        await asyncio.sleep(0)
        if event.data["where"] == "sink":
            self.offers += 1
            if self.offers == 1:
                raise KINDS[event.data["what"]]()
        self.taken.append(event.subject)


async def middleware(context: CommandContext, following: Next) -> Ack:
    command = context.command
    if isinstance(command, Say):
        fail_at("middleware", command)
    ack = await following(context)
    if isinstance(command, Say):
        fail_at("middleware after", command)
    return ack


class Meter(Instrument):
    """Counts deliveries until one fails."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __repr__(self) -> str:
        raise KINDS[self._what]()

    def events_delivered(self, processor: str, events: int, position: int) -> None:
        raise KINDS[self._what]()
