"""A disk that records every operation, and the replay of the recording step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from actorium.simulation.disk.disk import DiskError, SimulatedDisk
from actorium.simulation.disk.file import SimulatedFile

Kind = Literal["create", "delete", "sync_directory", "write", "truncate", "sync", "acknowledged"]


class DiskStep(NamedTuple):
    """One operation on the disk; `file` numbers the files in the order of first use.

    `acknowledged` is not an operation: its `offset` is the number of commands acknowledged up to that moment.
    """

    kind: Kind
    name: str = ""
    file: int = 0
    offset: int = 0
    data: bytes = b""


class DiskMoment(NamedTuple):
    """A disk after one of its steps, and the number of commands acknowledged by then."""

    number: int
    disk: SimulatedDisk
    acknowledged: int


class RecordingDisk(SimulatedDisk):
    """A disk without faults; `steps` lists its operations so far."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[DiskStep] = []
        self._met: list[SimulatedFile] = []

    def acknowledged(self, count: int) -> None:
        """Record the number of commands acknowledged so far."""
        self.steps.append(DiskStep("acknowledged", offset=count))

    def create(self, name: str) -> SimulatedFile:
        file = super().create(name)
        self._met.append(file)
        self.steps.append(DiskStep("create", name))
        return file

    def delete(self, name: str) -> None:
        super().delete(name)
        self.steps.append(DiskStep("delete", name))

    def sync_directory(self) -> None:
        super().sync_directory()
        self.steps.append(DiskStep("sync_directory"))

    def write(self, name: str, file: SimulatedFile, offset: int, data: bytes) -> DiskError | None:
        self.steps.append(DiskStep("write", name, self._number(file), offset, data))
        return super().write(name, file, offset, data)

    def truncate(self, file: SimulatedFile, size: int) -> None:
        self.steps.append(DiskStep("truncate", file=self._number(file), offset=size))
        super().truncate(file, size)

    def sync(self, name: str, file: SimulatedFile) -> DiskError | None:
        self.steps.append(DiskStep("sync", name, self._number(file)))
        return super().sync(name, file)

    def _number(self, file: SimulatedFile) -> int:
        return next(number for number, met in enumerate(self._met) if met is file)


def moments(steps: list[DiskStep]) -> Iterator[DiskMoment]:
    """Yield the disk after each of the steps; it is a single disk, which advances when the next one is requested."""
    disk, met, acknowledged = SimulatedDisk(), list[SimulatedFile](), 0
    for number, (kind, name, file, offset, data) in enumerate(steps, 1):
        if kind == "acknowledged":
            acknowledged = offset
            continue
        if kind == "create":
            met.append(disk.create(name))
        elif kind == "delete":
            disk.delete(name)
        elif kind == "sync_directory":
            disk.sync_directory()
        elif kind == "write":
            disk.write(name, met[file], offset, data)
        elif kind == "truncate":
            disk.truncate(met[file], offset)
        else:
            disk.sync(name, met[file])
        yield DiskMoment(number, disk, acknowledged)
