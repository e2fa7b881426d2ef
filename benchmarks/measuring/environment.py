"""The description of the machine: figures are meaningless without it."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from actorium.benchmarks.report import Environment

_PACKAGES = ("actorium", "msgspec", "anyio", "aiosqlite", "eventsourcing", "pykka")
_FLUSHES = 40
_FLUSHED_BYTES = 4_096


def look_around(folder: Path) -> Environment:
    """Return a description of this machine, and the flush time of the disk under a folder."""
    return Environment(
        cpu=_cpu(),
        cores=_cores(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=python(),
        sqlite=sqlite3.sqlite_version,
        packages=_packages(),
        folder_file_system=file_system(folder),
        flush_ms=round(flush_ms(folder), 3),
        load_average=round(psutil.getloadavg()[0], 2),
    )


def python() -> str:
    """Return the name and version of the running Python, such as "CPython 3.11.7"."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def flush_ms(folder: Path) -> float:
    """Return the median time of a small append and its flush to the disk, in milliseconds."""
    path = folder / "flush.probe"
    flush = getattr(os, "fdatasync", os.fsync)
    durations = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for _ in range(_FLUSHES):
            began = time.perf_counter()
            os.write(descriptor, bytes(_FLUSHED_BYTES))
            flush(descriptor)
            durations.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(durations) * 1e3


def file_system(folder: Path) -> str:
    """Return the type of the file system under a folder, or "" if the system does not tell."""
    place = folder.resolve()
    under = [one for one in psutil.disk_partitions(all=True) if place.is_relative_to(one.mountpoint)]
    # Of several mounts at one point, the last one hides the others.
    return max(reversed(under), key=lambda one: len(one.mountpoint)).fstype if under else ""


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cores() -> int:
    """Return the number of cores this process may use."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # not on macOS
        return len(process.cpu_affinity())
    return psutil.cpu_count() or 1


def _cpu() -> str:
    """Return the name of the processor, which psutil does not provide."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
