"""`DeadLetters`: the events that one processor has parked, and the events held back behind them.

Invariant: memory matches the store. An event is held back if its stream has a parked event at or before it, or if it
was itself discarded or marked to be skipped; the same rule holds live, in a rebuild and after a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from actorium.actors.commands import checked_text
from actorium.runtime.log.log_reader import Delivered, Unread
from actorium.store.errors import InvalidCommand
from actorium.store.event_store import DeadLetter
from actorium.store.events import event_type_of
from actorium.store.names import StreamName
from actorium.store.raised import error_text, traceback_text


class DeadLetters:
    """The events that one processor has parked or discarded.

    skipped: the positions of the events that it was told to skip; the set may grow.
    """

    def __init__(self, letters: Iterable[DeadLetter] = (), skipped: Collection[int] = ()) -> None:
        self._skipped = skipped
        self._parked: dict[StreamName, DeadLetter] = {}
        self._discarded: dict[int, DeadLetter] = {}
        self.settlements = 0  # how often a letter was settled: a state folded earlier lacks its event
        for letter in letters:
            self.add(letter)

    def __len__(self) -> int:
        return len(self._parked)

    def __bool__(self) -> bool:
        return bool(self._parked or self._discarded or self._skipped)

    def add(self, letter: DeadLetter) -> None:
        """Add a letter that was parked, or that is now discarded."""
        if letter.discarded:
            self._discarded[letter.position] = letter
            parked = self._parked.get(letter.stream)
            if parked is not None and parked.position == letter.position:
                del self._parked[letter.stream]
        elif (parked := self._parked.get(letter.stream)) is None or letter.position <= parked.position:
            self._parked[letter.stream] = letter

    def overtaken_by(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Return the parked letters whose lanes are now parked at an earlier event; these now wait behind it.

        This happens when today's handlers fail at events that an earlier version could handle.
        """
        overtaken = []
        for letter in letters:
            parked = self._parked.get(letter.stream)
            if parked is not None and not letter.discarded and parked.position > letter.position:
                overtaken.append(parked)
        return overtaken

    def forget_all(self) -> None:
        """Forget everything, because the processor begins anew."""
        self.settlements += 1
        self._parked.clear()
        self._discarded.clear()

    def settle(self, letter: DeadLetter) -> None:
        """Forget a letter whose event has been handled since."""
        self.settlements += 1
        self._parked.pop(letter.stream, None)

    def parked(self) -> list[DeadLetter]:
        """Return the parked letters in the order of the log."""
        return sorted(self._parked.values(), key=lambda letter: letter.position)

    def discarded(self) -> list[DeadLetter]:
        """Return the discarded letters in the order of the log."""
        return sorted(self._discarded.values(), key=lambda letter: letter.position)

    def is_left_out(self, position: int) -> bool:
        """Return whether the event at a position was discarded, or is skipped."""
        return position in self._discarded or position in self._skipped

    def at(self, position: int) -> DeadLetter | None:
        """Return the letter parked at a position."""
        return next((letter for letter in self._parked.values() if letter.position == position), None)

    def hold_back(self, delivered: Delivered, lane: StreamName | None = None) -> bool:
        """Return whether an event must wait; `lane` is where it waits, by default its stream."""
        if delivered.position in self._skipped:
            return True
        return self.holding(lane or delivered.stream, delivered.position) is not None

    def holding(self, lane: StreamName, position: int) -> DeadLetter | None:
        """Return the letter that holds back the event at a position; None if there is none."""
        letter = self._discarded.get(position)
        if letter is None:
            letter = self._parked.get(lane)
            if letter is not None and position < letter.position:
                return None
        return letter


class SkipMarks:
    """The events that followers of the log treat as if they had not happened, by their positions.

    A follower is named by its kind and its plain name, without a version, so that a rebuild has the same marks.
    """

    def __init__(self) -> None:
        self._positions: dict[str, set[int]] = {}

    def of(self, follower: str) -> set[int]:
        """Return the positions that a follower skips; later marks are added to the same set."""
        return self._positions.setdefault(follower, set())


def moved_to(letter: DeadLetter, delivered: Delivered) -> DeadLetter:
    """Return the letter for the next event of its lane, which waits now that the letter's event is finished."""
    version, event_type = _version_and_type(delivered)
    return msgspec.structs.replace(
        letter, position=delivered.position, version=version, event_type=event_type, attempts=0
    )


def _version_and_type(delivered: Delivered) -> tuple[int, str]:
    if isinstance(delivered, Unread):
        return delivered.record.version, delivered.record.type
    return delivered.version, event_type_of(type(delivered.event))


def dead_letter(
    processor: str,
    delivered: Delivered,
    error: BaseException,
    *,
    attempts: int,
    parked_us: int,
    lane: StreamName | None,
) -> DeadLetter:
    """Return the letter for an event that could not be handled."""
    stream, position = delivered.stream, delivered.position
    version, event_type = _version_and_type(delivered)
    return DeadLetter(
        processor,
        lane or stream,
        version,
        position,
        event_type,
        error_text(error),
        traceback_text(error),
        attempts,
        parked_us,
    )


def require_reason(processor: str, action: str, reason: str) -> None:
    """Raise InvalidCommand unless a person gives a reason for an action on a processor's event."""
    if not checked_text(reason, "reason").strip():
        raise InvalidCommand(f"{processor}: {action} needs a reason, which is stored with the event")
