"""`DueQueue`: rows that are due soon, in order of time and limited in number."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from actorium.sagas.model.intents import IntentKey

Row = tuple[str, str, str, str]
"""Owner, id and key of an intent, and what is due: the intent itself, its deadline, or the alarm of its saga."""

RUN, DEADLINE, ALARM = "run", "deadline", "alarm"

_COMPACT_FROM = 64


class DueQueue:
    """Rows by due time, at most `limit` of them.

    Invariant: a row that was dropped, or whose time has changed, may stay in the heap and is skipped; the heap is at
    most about twice as long as the number of valid rows.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._due_us: dict[Row, int] = {}
        self._heap: list[tuple[int, Row]] = []

    def __len__(self) -> int:
        return len(self._due_us)

    def __contains__(self, row: Row) -> bool:
        return row in self._due_us

    def add(self, row: Row, due_us: int) -> bool:
        """Add a row, or change its time; return False if there is no room."""
        if row not in self._due_us and len(self._due_us) >= self.limit:
            return False
        self._due_us[row] = due_us
        heappush(self._heap, (due_us, row))
        if len(self._heap) > 2 * len(self._due_us) + _COMPACT_FROM:
            self._heap = [(due, known) for known, due in self._due_us.items()]
            heapify(self._heap)
        return True

    def drop(self, row: Row) -> None:
        """Remove a row, if it is there."""
        self._due_us.pop(row, None)

    def clear(self) -> None:
        """Forget everything."""
        self._due_us.clear()
        self._heap.clear()

    def next_us(self) -> int | None:
        """Return when the first row is due; None if there is none."""
        heap = self._heap
        while heap and self._due_us.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def take(self) -> Row:
        """Remove and return the first row; call it only if `next_us` returned a time."""
        row = heappop(self._heap)[1]
        del self._due_us[row]
        return row


def row_of(key: IntentKey, what: str) -> Row:
    """Return the row of an intent."""
    return (key.owner, key.id, key.key, what)
