"""`Bus`: the interface to what connects services, in nine operations.

Two things travel. Messages are delivered at most once, to whoever is there: commands and their replies. Entries of a
stream are durable, numbered 1, 2, 3 … and read by anybody at any time: events.

Every adapter guarantees the following (`actorium.testing.BusContract` checks it):
- a message reaches each plain subscriber and one subscriber of each group, or nobody; it is never changed;
- messages from one publisher to one subscriber keep their order;
- a message with a reply subject that reaches nobody is answered with an empty message to that subject, if the bus
  notices it;
- an entry gets the sequence number after the last one, and only if that is the expected one;
- when `append` returns, the entry is as durable as the bus promises. When it raises WrongSequence, nothing was written;
  when it raises ServiceUnavailable, the outcome is unknown until the next read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import msgspec

ENTRIES_PER_READ = 100


class BusMessage(msgspec.Struct, frozen=True):
    """A message as a subscriber gets it; `reply` is the subject for answers, or empty."""

    subject: str
    data: bytes
    reply: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One entry of a stream."""

    sequence: int
    data: bytes


class StreamEnds(msgspec.Struct, frozen=True):
    """Where a stream begins and ends; `first` is `last + 1` if it holds nothing, and both are 0 if it never did."""

    first: int
    last: int


Take = Callable[[BusMessage], None]


class BusWatcher(Protocol):
    """Who is told about the state of a bus; the calls return at once."""

    def connected(self) -> None:
        """The connection is back: what was published meanwhile may be lost."""

    def disconnected(self) -> None:
        """The connection has ended: what was on its way may be lost."""

    def lost(self, what: str) -> None:
        """Messages for this process were lost; `what` says which, for a log line."""


class BusSubscription(Protocol):
    """A subscription, until it is cancelled."""

    async def cancel(self) -> None:
        """Receive nothing more."""


@runtime_checkable
class Bus(Protocol):
    """What connects services. One object is opened and closed once, by one process."""

    async def open(self, name: str, watcher: BusWatcher) -> None:
        """Connect, under a name for monitoring; return at once if nobody answers, and go on trying.

        Raises ConfigurationError if it can never succeed: a wrong URL, or refused credentials.
        """

    async def close(self) -> None:
        """Send what was published, then disconnect."""

    @property
    def is_connected(self) -> bool:
        """Whether messages reach the bus now."""

    @property
    def largest_message(self) -> int:
        """The number of bytes that a message or an entry may have."""

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send a message; return when the next may be sent. Raises ServiceUnavailable if it cannot be sent now."""

    async def subscribe(self, subject: str, take: Take, *, group: str = "") -> BusSubscription:
        """Call `take` with each message to a subject from now on; `*` stands for one part of it, `>` for the rest.

        group: of the subscribers with one group, one gets a message.
        """

    async def append(self, stream: str, data: bytes, *, after: int) -> int:
        """Append an entry to a stream that ends at `after`, and return its sequence number.

        The first append creates the stream. Raises WrongSequence or ServiceUnavailable.
        """

    async def ends(self, stream: str) -> StreamEnds:
        """Return where a stream begins and ends. Raises ServiceUnavailable."""

    async def read(self, stream: str, after: int, limit: int = ENTRIES_PER_READ) -> list[Entry]:
        """Return up to `limit` entries after a sequence number, in order; none at the end.

        Raises ServiceUnavailable.
        """

    def describe(self) -> str:
        """Return the address of the bus without its secrets."""
