"""`MemoryBus`: connects the runtimes of one process, for tests.

Messages arrive in the next iteration of the subscriber's event loop, in the order in which they were published, so a
run is deterministic. The streams last as long as something refers to the bus of that name.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from actorium.runtime.bus.bus import (
    ENTRIES_PER_READ,
    BusMessage,
    BusSubscription,
    BusWatcher,
    Entry,
    StreamEnds,
    Take,
)
from actorium.runtime.errors import WrongSequence

_LARGEST_MESSAGE = 1_048_576


class MemoryHub:
    """What the buses of one name share: their subscriptions and streams."""

    def __init__(self) -> None:
        self.subscriptions: dict[MemorySubscription, None] = {}
        self.streams: dict[str, list[bytes]] = {}
        self.turns: dict[tuple[str, str], int] = {}

    def receivers(self, subject: str) -> list[MemorySubscription]:
        """Return who gets a message: every plain subscriber, and the next one of each group."""
        matching = [one for one in self.subscriptions if one.is_alive and matches(one.subject, subject)]
        found = [one for one in matching if not one.group]
        for group in dict.fromkeys(one.group for one in matching if one.group):
            members = [one for one in matching if one.group == group]
            turn = self.turns.get((subject, group), 0)
            self.turns[subject, group] = turn + 1
            found.append(members[turn % len(members)])
        return found


class MemorySubscription:
    """A subscription at a hub."""

    def __init__(self, hub: MemoryHub, subject: str, group: str, take: Take) -> None:
        self.subject = subject
        self.group = group
        self._hub = hub
        self._take = take
        self._loop = asyncio.get_running_loop()
        hub.subscriptions = {one: None for one in hub.subscriptions if one.is_alive}
        hub.subscriptions[self] = None

    @property
    def is_alive(self) -> bool:
        """Whether the loop that subscribed still runs."""
        return self._loop.is_running()

    def deliver(self, message: BusMessage) -> None:
        """Hand a message over in the loop's next iteration."""
        self._loop.call_soon(self._hand_over, message)

    def _hand_over(self, message: BusMessage) -> None:
        if self in self._hub.subscriptions:
            self._take(message)

    async def cancel(self) -> None:
        """Receive nothing more."""
        self._hub.subscriptions.pop(self, None)


_hubs: WeakValueDictionary[str, MemoryHub] = WeakValueDictionary()


class MemoryBus:
    """A bus in memory; all buses of one name are connected."""

    largest_message = _LARGEST_MESSAGE

    def __init__(self, name: str, hub: MemoryHub | None = None) -> None:
        self._name = name
        hub = hub or _hubs.get(name)
        if hub is None:
            hub = _hubs[name] = MemoryHub()
        self._hub = hub
        self._mine: list[MemorySubscription] = []
        self._is_open = False

    async def open(self, name: str, watcher: BusWatcher) -> None:
        """Connect."""
        self._is_open = True

    @property
    def is_connected(self) -> bool:
        """Whether the bus is open."""
        return self._is_open

    async def close(self) -> None:
        """Disconnect."""
        self._is_open = False
        for one in self._mine:
            await one.cancel()

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send a message."""
        receivers = self._hub.receivers(subject)
        if not receivers and reply:
            receivers, subject, data, reply = self._hub.receivers(reply), reply, b"", ""
        message = BusMessage(subject, data, reply)
        for one in receivers:
            one.deliver(message)

    async def subscribe(self, subject: str, take: Take, *, group: str = "") -> BusSubscription:
        """Call `take` with each message to a subject."""
        one = MemorySubscription(self._hub, subject, group, take)
        self._mine.append(one)
        return one

    async def append(self, stream: str, data: bytes, *, after: int) -> int:
        """Append an entry."""
        entries = self._hub.streams.setdefault(stream, [])
        if len(entries) != after:
            raise WrongSequence(f"the stream {stream} ends at {len(entries)}, not {after}: read its end again")
        entries.append(data)
        return len(entries)

    async def ends(self, stream: str) -> StreamEnds:
        """Return where a stream begins and ends."""
        last = len(self._hub.streams.get(stream, ()))
        return StreamEnds(min(last, 1), last)

    async def read(self, stream: str, after: int, limit: int = ENTRIES_PER_READ) -> list[Entry]:
        """Return the entries after a sequence number."""
        entries = self._hub.streams.get(stream, [])[after : after + limit]
        return [Entry(after + number, data) for number, data in enumerate(entries, 1)]

    def describe(self) -> str:
        """Return the URL."""
        return f"memory://{self._name}"


def matches(pattern: str, subject: str) -> bool:
    """Return whether a subject matches a pattern: `*` stands for one part, `>` for one or more at the end."""
    if pattern == subject:
        return True
    wanted, given = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in ("*", given[index]):
            return False
    return len(wanted) == len(given)
