"""`@react`: side effects of events (an e-mail, a webhook, a message), at least once, with an idempotency key."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Literal, NewType, TypeVar

from actorium.runtime.commands.derived_ids import bounded, effect
from actorium.runtime.commands.inherited import because_of
from actorium.runtime.log.log_reader import Delivered
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.event_handlers import EventHandler, arguments, read_handler
from actorium.runtime.processors.recall_window import checked_hold_s
from actorium.runtime.processors.start_position import derives_ids_after
from actorium.runtime.retry import Retry
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import EventStore, SaveCheckpoint
from actorium.store.events import Event, RecordedEvent
from actorium.store.names import StreamName
from actorium.store.wording import counted

F = TypeVar("F", bound=Callable[..., Awaitable[None]])
_REACTION = "__actorium_reaction__"
OnReplay = Literal["skip", "run"]

IdempotencyKey = NewType("IdempotencyKey", str)
IdempotencyKey.__doc__ = """A string that identifies the effect of one event or step, the same on every attempt.

Pass it to the receiver, so that it can detect a repeat. If the handler sends a command whose id begins with the key,
the command gets an id that only the runtime can create, so no other caller can have used it.
"""


def react(
    *,
    on_replay: OnReplay,
    retry: Retry | None = None,
    concurrency: int = 8,
    name: str = "",
    hold_s: float = 0.0,
    rerun: bool = False,
) -> Callable[[F], F]:
    """Mark an async function that has an external effect in response to events; it runs at least once for each event.

    The first annotated parameter is the event. Further parameters are filled by annotation: `RecordedEvent`, and
    `IdempotencyKey`, to pass on to the receiver. Commands that the function sends inherit the flow, the cause and the
    headers of the event.

    on_replay: whether to "skip" or "run" a replay: events that were in the log before the reaction first ran and, after
        a reset, events that it has already received.
    retry: how often to try before the event is parked.
    concurrency: the number of streams handled concurrently, at least 1.
    name: the name under which its progress is saved; by default the function's name.
    hold_s: how many seconds an event waits before the function runs; until then, `Processor.recall` can take it back.
    rerun: whether a correction case may run the function again, under another key, for events that it has handled.

    Raises ConfigurationError for invalid arguments and for a function that is not async.
    """
    if on_replay not in ("skip", "run"):
        raise ConfigurationError(f'@react(on_replay={on_replay!r}): on_replay must be "skip" or "run"')
    if concurrency < 1:
        raise ConfigurationError(f"@react(concurrency={concurrency!r}): must be 1 or more")
    checked_hold_s(hold_s, "@react")

    def marked(function: F) -> F:
        names = sys._getframe(1).f_locals
        shown = function.__qualname__
        if not _is_async(function):
            raise ConfigurationError(f"{shown} is not async: write `async def`, or make it a projection")
        handler = read_handler(function, shown, names, extras=(RecordedEvent, IdempotencyKey), skip_self=False)
        reaction = Reaction(name or function.__name__, handler, on_replay, retry or Retry(), concurrency, hold_s, rerun)
        setattr(function, _REACTION, reaction)
        return function

    return marked


class Reaction:
    """The declarations of `@react` for a function."""

    def __init__(
        self,
        name: str,
        handler: EventHandler,
        on_replay: OnReplay,
        retry: Retry,
        concurrency: int,
        hold_s: float,
        may_rerun: bool,
    ) -> None:
        self.name = name
        self.handler = handler
        self.on_replay = on_replay
        self.retry = retry
        self.concurrency = concurrency
        self.hold_s = hold_s
        self.may_rerun = may_rerun

    def key(self, recorded: RecordedEvent[Event], prefix: str = "") -> str:
        """Return the idempotency key of the effect of one event."""
        place = f"{recorded.stream_type}:{recorded.stream_id}:{recorded.version}:{recorded.part}"
        return bounded(f"{prefix}{self.name}:{place}")

    async def call(self, recorded: RecordedEvent[Event], key: str) -> None:
        """Call the function with one event."""
        await self.handler.method(*arguments(self.handler, recorded, {IdempotencyKey: key}))


def reaction_of(candidate: object) -> Reaction | None:
    """Return the `@react` declaration of a function; None for anything else."""
    reaction = getattr(candidate, _REACTION, None)
    return reaction if isinstance(reaction, Reaction) else None


class ReactionWork:
    """The work of one reaction.

    Invariant: every event up to `_replay_up_to` was given to the function at least once, or was in the log before it.
    The position only rises, and has its own checkpoint, so that a reset does not forget it. It is stored plus one, so
    that 0 means a reaction that never began: one that began on an empty log must get every event, even if it was
    killed before its first checkpoint.
    """

    def __init__(self, reaction: Reaction, checkpoint: Checkpoint, store: EventStore, head: Callable[[], int]) -> None:
        self.event_classes = frozenset(reaction.handler.event_classes)
        self.concurrency = reaction.concurrency
        self._reaction = reaction
        self._checkpoint = checkpoint
        self._store = store
        self._head = head
        self._replay_up_to = 0
        self._derives_after = 0

    def lane(self, delivered: Delivered) -> StreamName:
        """Return the event's stream, so that streams are handled concurrently."""
        return delivered.stream

    def begin(self, recorded: RecordedEvent[Event], ended: object) -> bool:
        """Leave every event to `react`: a user's function needs a task."""
        return False

    def may_overlap(self, delivered: Delivered) -> bool:
        """Return False: the events of a stream are handled one after the other."""
        return False

    async def react(self, recorded: RecordedEvent[Event]) -> None:
        """Call the function with one event, unless it is a replay to skip."""
        if recorded.position <= self._replay_up_to and self._reaction.on_replay == "skip":
            return
        key = self._reaction.key(recorded)
        metadata = recorded.metadata
        inheriting = because_of(metadata.flow_id, recorded.event_id, metadata.headers)
        with effect(key if recorded.position > self._derives_after else ""), inheriting:
            await self._reaction.call(recorded, key)

    async def is_new(self) -> bool:
        """Return whether the reaction is new to this log: it is not stored which events are a replay."""
        return await self._store.load_checkpoint(self._replay_name) == 0

    async def prepare(self) -> None:
        """Find where to continue; for a reaction that is new to this log, existing events are a replay."""
        await self._checkpoint.load()
        known = await self._store.load_checkpoint(self._replay_name)
        head = self._head()
        self._derives_after = await derives_ids_after(self._checkpoint, self._store, head if known else 0)
        if known:
            self._replay_up_to = known - 1
            return
        if self._reaction.on_replay == "skip" and self._checkpoint.position < head:
            await self._checkpoint.save(head)
        await self._take_as_replay(head)

    async def caught_up(self) -> None:
        """Do nothing: nothing waits for a reaction to catch up."""

    async def reset(self) -> None:
        """Go through the log again; events that were delivered before are a replay."""
        letters = self._checkpoint.letters
        if self._reaction.on_replay == "skip" and letters.parked():
            raise ConfigurationError(
                f"a reset of {self._checkpoint.name} would permanently skip "
                f"{counted(len(letters), 'parked event')}: call retry or discard first"
            )
        await self._take_as_replay(max(self._replay_up_to, self._checkpoint.position))
        await self._checkpoint.save(0, settled=[*letters.parked(), *letters.discarded()])
        letters.forget_all()

    async def _take_as_replay(self, position: int) -> None:
        await self._checkpoint.writer(SaveCheckpoint(self._replay_name, position + 1))
        self._replay_up_to = position

    @property
    def _replay_name(self) -> str:
        return f"{self._checkpoint.name} replays up to"


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function)
