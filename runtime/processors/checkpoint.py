"""`Checkpoint`: the saved progress of one processor: its position, the statements that belong to it, and its dead
letters.

Invariants: `position` is the processor's checkpoint in the store; it moves only in a commit that contains all results
    of the processor up to it; every event at or before it was handled, parked, discarded or held back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from heapq import heapify, heappop, heappush

import msgspec

from actorium.runtime.processors.dead_letters import DeadLetters
from actorium.runtime.waits import end
from actorium.store.errors import CorruptRow
from actorium.store.event_store import DeadLetter, EventStore, SaveCheckpoint, Statement
from actorium.store.tables.own_rows import TableChange
from actorium.store.tables.row_tables import RowChanges

_PURGE_AT_MIN = 64


class Advance(msgspec.Struct, frozen=True):
    """A move of a checkpoint, and what is written with it.

    settled: the letters that are no longer parked.
    """

    position: int
    statements: Sequence[Statement] = ()
    rows: Sequence[RowChanges] = ()
    changes: Sequence[TableChange] = ()
    parked: Sequence[DeadLetter] = ()
    settled: Sequence[DeadLetter] = ()

    @property
    def is_bare(self) -> bool:
        """Whether nothing but the position is written."""
        return not (self.statements or self.rows or self.changes or self.parked or self.settled)


class Checkpoint:
    """A processor's progress, in memory and in the store.

    skipped: the positions of the events that the processor treats as if they had not happened.
    """

    def __init__(
        self,
        name: str,
        store: EventStore,
        save: Callable[[SaveCheckpoint], asyncio.Future[None]],
        skipped: Collection[int] = (),
    ) -> None:
        self.name = name
        self.position = 0
        self.letters = DeadLetters((), skipped)
        self._skipped = skipped
        self._letters_read: list[DeadLetter] = []
        self._store = store
        self.writer = save
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._purge_at = _PURGE_AT_MIN
        self._count = 0
        self._moved: asyncio.Future[None] | None = None
        self.moves = 0  # how often the state at the position has changed
        self._closed: Exception | None = None
        self._wanted: asyncio.Future[bool] | None = None
        self.ready = asyncio.Event()  # set while the processor's state may be queried

    def rest(self) -> None:
        """Save nothing until `load`: another process moves this checkpoint from now on."""

    async def load(self) -> int:
        """Read the position and the dead letters; return the position, or raise CorruptRow."""
        self.letters = DeadLetters(await self._store.dead_letters(self.name), self._skipped)
        position = await self.load_number()
        if position:
            await self.require_within(position)
        return position

    async def load_number(self) -> int:
        """Read and return a number saved under this name that is not a position."""
        self._move_to(await self._store.load_checkpoint(self.name))
        return self.position

    async def refresh(self) -> bool:
        """Read what another process has saved since; return whether anything changed."""
        # The position first: a dead letter at or before it was saved no later.
        position = await self._store.load_checkpoint(self.name)
        letters = await self._store.dead_letters(self.name)
        if position == self.position and letters == self._letters_read:
            return False
        self._letters_read = letters
        self.letters = DeadLetters(letters, self._skipped)
        self._move_to(position)
        return True

    async def require_within(self, position: int) -> None:
        """Raise CorruptRow for a position beyond the end of the log."""
        head = (await self._store.head()).position
        if position > head:
            raise CorruptRow(
                f"{self.name} is at position {position}, but the log ends at {head}: events are missing from the log's "
                "end, or a backup was restored only in part. Restore a complete backup",
            )

    async def save(
        self,
        position: int,
        statements: Sequence[Statement] = (),
        *,
        rows: Sequence[RowChanges] = (),
        changes: Sequence[TableChange] = (),
        parked: Sequence[DeadLetter] = (),
        settled: Sequence[DeadLetter] = (),
    ) -> None:
        """Commit a position with its statements; raise StatementFailed with nothing written, or a Transient."""
        await self.advance(Advance(position, statements, rows, changes, parked, settled))

    async def advance(self, to: Advance) -> None:
        """Commit a move and what belongs to it, as `save` does."""
        settled = [*to.settled, *self.letters.overtaken_by(to.parked)]
        settled_positions = [letter.position for letter in settled]
        # If the processor is cancelled meanwhile, the writer still completes its commit.
        await self.writer(
            SaveCheckpoint(self.name, to.position, to.statements, to.parked, settled_positions, to.changes, to.rows)
        )
        for letter in settled:
            self.letters.settle(letter)
        for letter in to.parked:
            self.letters.add(letter)
        self._move_to(to.position)

    def move_in_memory(self, position: int) -> None:
        """Set a position that is not saved, for a processor that begins anew at each start."""
        self._move_to(position)

    def _move_to(self, position: int) -> None:
        self.position = position
        waiters = self._waiters
        while waiters and waiters[0][0] <= position:
            waiter = heappop(waiters)[2]
            if not waiter.done():
                waiter.set_result(None)
        self.announce()

    def announce(self) -> None:
        """Wake the waiters for the next move, because the state at the position has changed."""
        self.moves += 1
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def reached(self, position: int) -> asyncio.Future[None]:
        """Return a future that ends when the position is at least `position`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.position >= position:
            waiter.set_result(None)
        elif self._closed is not None:
            waiter.set_exception(self._closed)
        else:
            if len(self._waiters) >= self._purge_at:
                # Drop waiters that left, for example at a timeout, before there are too many.
                self._waiters = [one for one in self._waiters if not one[2].done()]
                heapify(self._waiters)
                self._purge_at = max(_PURGE_AT_MIN, 2 * len(self._waiters))
            end(self._wanted)
            self._count += 1
            heappush(self._waiters, (position, self._count, waiter))
        return waiter

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a position, or for the next move."""
        is_move_awaited = self._moved is not None and not self._moved.done()
        return is_move_awaited or any(not waiter.done() for _, _, waiter in self._waiters)

    def wanted(self) -> asyncio.Future[bool]:
        """Return a future that ends when somebody begins to wait."""
        self._wanted = asyncio.get_running_loop().create_future()
        return self._wanted

    def moved(self) -> asyncio.Future[None]:
        """Return a future that ends at the next move, or when there will be no more."""
        if self._moved is None or self._moved.done():
            end(self._wanted)
            self._moved = asyncio.get_running_loop().create_future()
            if self._closed is not None:
                self._moved.set_result(None)
        return self._moved

    @property
    def is_closed(self) -> bool:
        """Whether the position no longer moves."""
        return self._closed is not None

    def close(self, error: Exception) -> None:
        """Tell all waiters that the position no longer moves."""
        self._closed = error
        self.ready.set()
        for _, _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()
        self.announce()


def not_saved(checkpoint: SaveCheckpoint) -> asyncio.Future[None]:
    """Return a future that has ended: in a runtime that only reads, progress stays in memory."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done
