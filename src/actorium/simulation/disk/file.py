"""One file of a simulated disk: its content, and which parts of it a power cut may revert.

Invariants: `content` is what a reader sees; undoing the changes in `_unsynced`, last one first, gives the durable
content.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

SECTOR_BYTES = 512
"""The unit in which a disk writes; the sectors of a file may be written in any order."""

Choose = Callable[[str, int], int]
"""Chooses one of `options` possibilities, 0 … options - 1, at a place that is named for the trace."""

# What happens to the un-synced writes of a file.
_LOST, _KEPT, _IN_ORDER, _SECTOR_BY_SECTOR = range(4)


class _Change(NamedTuple):
    """A write, or a truncation if `new` is empty: the bytes it replaced, and the former size of the file."""

    offset: int
    old: bytes
    new: bytes
    size_before: int

    @property
    def sectors(self) -> range:
        """The sectors affected by the change."""
        end = self.offset + max(len(self.old), len(self.new))
        return range(self.offset // SECTOR_BYTES, (end + SECTOR_BYTES - 1) // SECTOR_BYTES)

    def undo(self, content: bytearray) -> None:
        """Undo the change."""
        _resize(content, self.size_before)
        content[self.offset : self.offset + len(self.old)] = self.old

    def redo(self, content: bytearray) -> None:
        """Apply the change."""
        if not self.new:
            del content[self.offset :]
            return
        _resize(content, max(len(content), self.offset))
        content[self.offset : self.offset + len(self.new)] = self.new

    def within(self, sectors: set[int], size: int) -> list[_Change]:
        """Return the parts of a write that fall into the given sectors of a file of the given size."""
        parts = []
        for sector in self.sectors if self.new else ():
            if sector in sectors:
                start = max(sector * SECTOR_BYTES - self.offset, 0)
                new = self.new[start : (sector + 1) * SECTOR_BYTES - self.offset]
                old = self.old[start : start + len(new)].ljust(len(new), b"\0")
                parts.append(_Change(self.offset + start, old, new, size))
        return parts


class _History(NamedTuple):
    """The contents of each sector changed since the last sync, the durable one first; and the sizes of the file."""

    sectors: dict[int, list[bytes]]
    sizes: list[int]


class SimulatedFile:
    """The bytes of one file, and the history of its un-synced changes."""

    __slots__ = ("_doomed", "_unsynced", "content")

    def __init__(self, content: bytes | bytearray = b"") -> None:
        self.content = bytearray(content)
        self._unsynced: list[_Change] = []
        self._doomed: set[int] = set()

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes at an offset; a gap before them is filled with zeros."""
        content, end = self.content, offset + len(data)
        change = _Change(offset, bytes(content[offset:end]), data, len(content))
        self._unsynced.append(change)
        if offset > len(content):
            content.extend(bytes(offset - len(content)))
        content[offset:end] = data
        if self._doomed:
            self._doomed.difference_update(change.sectors)

    def truncate(self, size: int) -> None:
        """Truncate the file to a size in bytes."""
        change = _Change(size, bytes(self.content[size:]), b"", len(self.content))
        self._unsynced.append(change)
        del self.content[size:]
        self._doomed.difference_update(change.sectors)

    def sync(self) -> None:
        """Make all writes durable, except those an earlier failed sync dropped and nobody wrote again."""
        if not self._doomed:
            self._unsynced.clear()
            return
        size = len(self.content)
        self._unsynced = [part for change in self._unsynced for part in change.within(self._doomed, size)]

    def fail_sync(self) -> None:
        """Sync nothing and mark the sectors as clean, as Linux does after an I/O error."""
        self._doomed = self.unsynced_sectors()

    def unsynced_sectors(self) -> set[int]:
        """Return the sectors that were changed and are not durable."""
        return {sector for change in self._unsynced for sector in change.sectors}

    def flip(self, bit: int) -> None:
        """Flip one bit, counted from the first of the file: bit rot, of the durable content and of un-synced writes."""
        place, mask = bit // 8, 1 << bit % 8
        self.content[place] ^= mask
        for index, change in enumerate(self._unsynced):
            at = place - change.offset
            if at >= 0:
                self._unsynced[index] = change._replace(
                    old=_flipped(change.old, at, mask), new=_flipped(change.new, at, mask)
                )

    def copy(self) -> SimulatedFile:
        """Return a copy of the file, history included."""
        twin = SimulatedFile(self.content)
        twin._unsynced, twin._doomed = list(self._unsynced), set(self._doomed)
        return twin

    def after_power_cut(self, name: str, choose: Choose) -> SimulatedFile:
        """Return the file after a power cut, with `choose` deciding about everything un-synced."""
        if not self._unsynced:
            return SimulatedFile(self.content)
        fate = choose(f"{name}: un-synced writes", 4)
        if fate == _KEPT:
            return SimulatedFile(self.content)
        image = bytearray(self.content)
        for change in reversed(self._unsynced):
            change.undo(image)
        if fate == _IN_ORDER:
            self._redo_some(image, name, choose)
        elif fate == _SECTOR_BY_SECTOR:
            self._redo_sectors(image, name, choose)
        return SimulatedFile(image)

    def _redo_some(self, image: bytearray, name: str, choose: Choose) -> None:
        """Keep the first changes, and the first sectors of the change after them."""
        changes = self._unsynced
        whole = choose(f"{name}: writes kept", len(changes) + 1)
        for change in changes[:whole]:
            change.redo(image)
        if whole < len(changes) and changes[whole].new:
            torn = changes[whole]
            sectors = choose(f"{name}: sectors kept of the write behind", len(torn.sectors))
            end = (torn.sectors.start + sectors) * SECTOR_BYTES - torn.offset
            if end > 0:
                torn._replace(new=torn.new[:end]).redo(image)

    def _redo_sectors(self, image: bytearray, name: str, choose: Choose) -> None:
        """Let each sector have one of its versions, or be torn between the first and the last."""
        history = self._history(bytearray(image))
        half = SECTOR_BYTES // 2
        for sector, versions in history.sectors.items():
            chosen = choose(f"{name}: sector {sector}", len(versions) + 1)
            data = versions[chosen] if chosen < len(versions) else versions[-1][:half] + versions[0][half:]
            start = sector * SECTOR_BYTES
            _resize(image, max(len(image), start))
            image[start : start + SECTOR_BYTES] = data
        _resize(image, history.sizes[choose(f"{name}: size", len(history.sizes))])

    def _history(self, content: bytearray) -> _History:
        """Repeat the changes, starting from the durable content, and keep every version on the way."""
        history = _History({}, [len(content)])
        for change in self._unsynced:
            for sector in change.sectors:
                if sector not in history.sectors:
                    history.sectors[sector] = [_sector(content, sector)]
            change.redo(content)
            for sector in change.sectors:
                history.sectors[sector].append(_sector(content, sector))
            if len(content) != history.sizes[-1]:
                history.sizes.append(len(content))
        return history


def _sector(content: bytearray, sector: int) -> bytes:
    return bytes(content[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES]).ljust(SECTOR_BYTES, b"\0")


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _flipped(data: bytes, place: int, mask: int) -> bytes:
    if place >= len(data):
        return data
    return data[:place] + bytes((data[place] ^ mask,)) + data[place + 1 :]
