"""`SimulatedDisk`: a disk in memory that can lose power, fail writes and suffer bit rot.

It promises what a disk promises and no more. Bytes that were synced survive a power cut. Of the rest, each sector may
be written, not written or torn, each file may have any size it has had since its last sync, and a file created or
removed since the last sync of the directory may or may not exist.

A disk object is one life of a machine. After a power cut it does nothing more. Whatever was open on it can be dropped;
`after_power_cut` or `after_kill` returns the disk of the next life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from actorium.simulation.disk.file import Choose, SimulatedFile
from actorium.store.errors import StoreInUse


class PowerCut(BaseException):
    """The disk lost power and its program is gone. Not an Exception, so that no handler continues after it."""


class DiskError(Enum):
    """The errors a disk can report instead of doing its work."""

    FULL = "no space left on device"
    BROKEN = "input/output error"


BeforeWrite = Callable[[str, int, int], DiskError | None]
"""Called with file, offset and size of a write. A returned error happens instead; PowerCut propagates."""

BeforeSync = Callable[[str], DiskError | None]
"""Called with the file to be synced. A returned error happens instead; PowerCut propagates before the sync."""


class SimulatedDisk:
    """The files of one directory, by name.

    files: the initial files, already synced.
    before_write, before_sync: decide about faults. They may raise PowerCut, and are passed on to the disk of the next
        life.
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
        # The files a name has referred to since the last sync of the directory: first the durable one, last the current
        # one.
        self._changed: dict[str, list[SimulatedFile | None]] = {}
        self._locked: set[str] = set()

    def names(self) -> list[str]:
        """Return the names of the files."""
        return sorted(self._files)

    def content(self, name: str) -> bytes:
        """Return the current content of a file, as a reader sees it."""
        return bytes(self._files[name].content)

    def flip_bit(self, name: str, bit: int) -> None:
        """Flip one bit of a file, counted from its first."""
        self._files[name].flip(bit)

    def unsynced_sectors(self) -> int:
        """Return how many sectors and file names a power cut at this moment would leave undecided."""
        return len(self._changed) + sum(len(file.unsynced_sectors()) for file in self._files.values())

    # Power

    def cut_power(self) -> None:
        """Cut the power: from now on nothing is written, and a store on this disk raises PowerCut."""
        self.is_off = True

    def after_power_cut(self, choose: Choose) -> SimulatedDisk:
        """Return the disk after a power cut, with `choose` deciding about everything un-synced; this one is off."""
        self.is_off = True
        return self.possible_after_power_cut(choose)

    def possible_after_power_cut(self, choose: Choose) -> SimulatedDisk:
        """Return a disk that a power cut at this moment could leave; this disk stays in use."""
        disk = SimulatedDisk(before_write=self.before_write, before_sync=self.before_sync)
        for name in sorted({*self._files, *self._changed}):
            possible = self._changed.get(name) or [self._files.get(name)]
            chosen = 0 if len(possible) == 1 else choose(f"{name}: made or removed", len(possible))
            file = possible[chosen]
            if file is not None:
                disk._files[name] = file.after_power_cut(name, choose)
        return disk

    def after_kill(self) -> SimulatedDisk:
        """Return the disk after the process died but not the machine: un-synced writes survive; this one is off."""
        self.is_off = True
        disk = SimulatedDisk(before_write=self.before_write, before_sync=self.before_sync)
        # A file may be referred to by a name now and by the name's past as well.
        copies: dict[int, SimulatedFile] = {}

        def copied(file: SimulatedFile | None) -> SimulatedFile | None:
            return None if file is None else copies.setdefault(id(file), file.copy())

        disk._files = {name: copied(file) or file for name, file in self._files.items()}
        disk._changed = {name: [copied(file) for file in past] for name, past in self._changed.items()}
        return disk

    # Operations of a database

    def file(self, name: str) -> SimulatedFile | None:
        """Return the file of a name."""
        return self._files.get(name)

    def create(self, name: str) -> SimulatedFile:
        """Create an empty file; its name becomes durable when the directory is synced."""
        file = SimulatedFile()
        self._rename(name, file)
        return file

    def delete(self, name: str) -> None:
        """Remove a file; the removal becomes durable when the directory is synced."""
        self._rename(name, None)

    def sync_directory(self) -> None:
        """Make every created or removed name durable."""
        if not self.is_off:
            self._changed.clear()

    def write(self, name: str, file: SimulatedFile, offset: int, data: bytes) -> DiskError | None:
        """Write into a file that was opened under a name; return the error, if any.

        If `before_write` cuts the power, this write is among the un-synced ones.
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
        """Truncate a file to a size in bytes."""
        if not self.is_off and size < len(file.content):
            file.truncate(size)

    def sync(self, name: str, file: SimulatedFile) -> DiskError | None:
        """Make the writes to a file durable; return the error, if any."""
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
        """Take the exclusive lock of a file; raise StoreInUse if it is taken."""
        if name in self._locked:
            raise StoreInUse(f"{name} is already open on this disk: close that store first")
        self._locked.add(name)

    def unlock(self, name: str) -> None:
        """Release the lock."""
        self._locked.discard(name)

    def _rename(self, name: str, file: SimulatedFile | None) -> None:
        if self.is_off:
            return
        self._changed.setdefault(name, [self._files.get(name)]).append(file)
        if file is None:
            self._files.pop(name, None)
        else:
            self._files[name] = file
