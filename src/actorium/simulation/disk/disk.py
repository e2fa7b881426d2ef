"""`SimulatedDisk`: a disk in memory whose power can go, whose writes can fail and whose bits can rot.

It promises what a disk promises and no more: bytes that were synced are there after a power cut; of the rest, each
sector may be there, not be there, or be torn, each file may have any size that it had since its last sync, and a file
that was made or removed since the last sync of the directory may or may not be there.

A disk is one life of a machine. When its power is gone it does nothing any more: what is open on it can be dropped, and
`after_power_cut` or `after_kill` gives the disk of the next life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from actorium.simulation.disk.file import Choose, SimulatedFile
from actorium.store.errors import StoreInUse


class PowerCut(BaseException):
    """The power is gone; the program that used the disk is no more. Not an Exception: nobody handles it and goes on."""


class DiskError(Enum):
    """What a disk can answer instead of doing its work."""

    FULL = "no space left on device"
    BROKEN = "input/output error"


BeforeWrite = Callable[[str, int, int], DiskError | None]
"""Called with file, offset and size of a write; what it returns happens instead, PowerCut goes through it."""

BeforeSync = Callable[[str], DiskError | None]
"""Called with the file that is to be synced; what it returns happens instead, PowerCut comes before it."""


class SimulatedDisk:
    """Files in one directory, by name.

    `files` are there and synced from the start. `before_write` and `before_sync` decide about faults; they may raise
    PowerCut, and are handed on to the disk of the next life.
    """

    def __init__(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        before_write: BeforeWrite | None = None,
        before_sync: BeforeSync | None = None,
    ) -> None:
        self.before_write = before_write
        self.before_sync = before_sync
        self.is_off = False
        self._files = {name: SimulatedFile(content) for name, content in (files or {}).items()}
        # What lay under a name since the last sync of the directory, the platter's first, the present last.
        self._changed: dict[str, list[SimulatedFile | None]] = {}
        self._locked: set[str] = set()

    def names(self) -> list[str]:
        """Return the names of the files."""
        return sorted(self._files)

    def content(self, name: str) -> bytes:
        """Return what a reader of a file sees."""
        return bytes(self._files[name].content)

    def flip_bit(self, name: str, bit: int) -> None:
        """Turn one bit of a file over, counted from its first."""
        self._files[name].flip(bit)

    def unsynced_sectors(self) -> int:
        """Return how many sectors, and names of files, a power cut at this moment would leave open."""
        return len(self._changed) + sum(len(file.unsynced_sectors()) for file in self._files.values())

    # The power

    def cut_power(self) -> None:
        """Take the power away: from now on nothing is written, and a store on this disk raises PowerCut."""
        self.is_off = True

    def after_power_cut(self, choose: Choose) -> SimulatedDisk:
        """Return the disk as it is when the power is back, what was not synced decided by `choose`; this one is off."""
        self.is_off = True
        return self.possible_after_power_cut(choose)

    def possible_after_power_cut(self, choose: Choose) -> SimulatedDisk:
        """Return what a power cut at this moment would leave; this disk goes on."""
        disk = SimulatedDisk(before_write=self.before_write, before_sync=self.before_sync)
        for name in sorted({*self._files, *self._changed}):
            possible = self._changed.get(name) or [self._files.get(name)]
            chosen = 0 if len(possible) == 1 else choose(f"{name}: made or removed", len(possible))
            file = possible[chosen]
            if file is not None:
                disk._files[name] = file.after_power_cut(name, choose)
        return disk

    def after_kill(self) -> SimulatedDisk:
        """Return the disk as it is when only the process died, un-synced writes and all; this one is off."""
        self.is_off = True
        disk = SimulatedDisk(before_write=self.before_write, before_sync=self.before_sync)
        # One file may lie under a name now and in the name's past.
        copies: dict[int, SimulatedFile] = {}

        def copied(file: SimulatedFile | None) -> SimulatedFile | None:
            return None if file is None else copies.setdefault(id(file), file.copy())

        disk._files = {name: copied(file) or file for name, file in self._files.items()}
        disk._changed = {name: [copied(file) for file in past] for name, past in self._changed.items()}
        return disk

    # What a database does with it

    def file(self, name: str) -> SimulatedFile | None:
        """Return the file that lies under a name."""
        return self._files.get(name)

    def create(self, name: str) -> SimulatedFile:
        """Make an empty file; its name is on the platter once the directory is synced."""
        file = SimulatedFile()
        self._rename(name, file)
        return file

    def delete(self, name: str) -> None:
        """Remove a file; it is gone for good once the directory is synced."""
        self._rename(name, None)

    def sync_directory(self) -> None:
        """Make every name that was made or removed durable."""
        if not self.is_off:
            self._changed.clear()

    def write(self, name: str, file: SimulatedFile, offset: int, data: bytes) -> DiskError | None:
        """Write into a file that was opened under a name; return what went wrong.

        A power cut that `before_write` brings finds this write among those that were not synced.
        """
        if self.is_off:
            return None
        if self.before_write is not None:
            try:
                error = self.before_write(name, offset, len(data))
            except PowerCut:
                self.is_off, error = True, None
            if error is not None:
                return error
        file.write(offset, data)
        return None

    def truncate(self, file: SimulatedFile, size: int) -> None:
        """Cut a file down to a size in bytes."""
        if not self.is_off and size < len(file.content):
            file.truncate(size)

    def sync(self, name: str, file: SimulatedFile) -> DiskError | None:
        """Put what was written into a file on the platter; return what went wrong."""
        if self.is_off:
            return None
        if self.before_sync is not None:
            try:
                error = self.before_sync(name)
            except PowerCut:
                self.is_off = True
                return None
            if error is not None:
                file.fail_sync()
                return error
        if not self.is_off:
            file.sync()
        return None

    def lock(self, name: str) -> None:
        """Take the one right to use a file; raise StoreInUse where it is taken."""
        if name in self._locked:
            raise StoreInUse(f"{name} is open on this disk already: close that store first")
        self._locked.add(name)

    def unlock(self, name: str) -> None:
        """Give the right back."""
        self._locked.discard(name)

    def _rename(self, name: str, file: SimulatedFile | None) -> None:
        if self.is_off:
            return
        self._changed.setdefault(name, [self._files.get(name)]).append(file)
        if file is None:
            self._files.pop(name, None)
        else:
            self._files[name] = file
