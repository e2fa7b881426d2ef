"""SQLite's view of simulated disks: a VFS that acts on them as SQLite's own does on a POSIX file system.

It is no stricter than SQLite's own VFS. The directory is synced only when that VFS would do it: with the first sync of
a journal or a write-ahead log, and with a removal that asks for it. Locks are not needed: each file has one connection
(see connection.py).
"""

from __future__ import annotations

from itertools import count
from weakref import WeakValueDictionary

import apsw

from actorium.simulation.disk.disk import DiskError, SimulatedDisk
from actorium.simulation.disk.file import SimulatedFile

VFS_NAME = "actorium-simulated-disk"

_SECTOR_BYTES = 4096  # what SQLite's own VFS reports for every disk
_JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL


class OpenFile:
    """A file that SQLite has open."""

    __slots__ = ("_disk", "_file", "_name", "_syncs_directory")

    def __init__(self, disk: SimulatedDisk, name: str, file: SimulatedFile, *, syncs_directory: bool) -> None:
        self._disk = disk
        self._name = name
        self._file = file
        self._syncs_directory = syncs_directory

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._file.content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._refuse(self._disk.write(self._name, self._file, offset, bytes(data)), apsw.SQLITE_IOERR_WRITE)

    def xTruncate(self, size: int) -> None:
        self._disk.truncate(self._file, size)

    def xSync(self, flags: int) -> None:
        self._refuse(self._disk.sync(self._name, self._file), apsw.SQLITE_IOERR_FSYNC)
        if self._syncs_directory:
            self._disk.sync_directory()
            self._syncs_directory = False

    def xFileSize(self) -> int:
        return len(self._file.content)

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return _SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None:
        pass

    def _refuse(self, error: DiskError | None, code: int) -> None:
        if error is not None:
            raise apsw.exception_for(apsw.SQLITE_FULL if error is DiskError.FULL else code)


class DiskVFS(apsw.VFS):
    """One VFS for all disks of a process: the path of a file is the number of its disk and its name."""

    def __init__(self) -> None:
        super().__init__(VFS_NAME, base="")
        self._numbers = count(1)
        self._disks: WeakValueDictionary[str, SimulatedDisk] = WeakValueDictionary()

    def path(self, disk: SimulatedDisk, name: str) -> str:
        """Return a path under which SQLite finds a file of this disk, as long as the disk exists."""
        number = str(next(self._numbers))
        self._disks[number] = disk
        return f"{number}/{name}"

    def xFullPathname(self, name: str) -> str:
        return name

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> OpenFile:  # type: ignore[override]
        wanted = flags[0]
        flags[1] = wanted
        if name is None:  # a temporary file of SQLite: losing it does no harm
            return OpenFile(SimulatedDisk(), "temporary", SimulatedFile(), syncs_directory=False)
        disk, file_name = self._find(name.filename() if isinstance(name, apsw.URIFilename) else name)
        file = disk.file(file_name)
        creates = bool(wanted & apsw.SQLITE_OPEN_CREATE)
        if file is None:
            if not creates:
                raise apsw.exception_for(apsw.SQLITE_CANTOPEN)
            file = disk.create(file_name)
        return OpenFile(disk, file_name, file, syncs_directory=creates and bool(wanted & _JOURNALS))

    def xDelete(self, name: str, sync_directory: bool) -> None:
        disk, file_name = self._find(name)
        if disk.file(file_name) is None:
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT)
        disk.delete(file_name)
        if sync_directory:
            disk.sync_directory()

    def xAccess(self, name: str, flags: int) -> bool:
        disk, file_name = self._find(name)
        return disk.file(file_name) is not None

    def _find(self, path: str) -> tuple[SimulatedDisk, str]:
        number, _, name = path.partition("/")
        return self._disks[number], name


disks = DiskVFS()
"""The VFS of this process."""
