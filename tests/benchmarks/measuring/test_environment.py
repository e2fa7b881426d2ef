"""The description of the machine matches what the machine reports."""

import mmap
import os
import platform
from pathlib import Path

import pytest

from actorium.benchmarks.measuring.environment import file_system, look_around
from actorium.benchmarks.measuring.resident import resident_mb


def test_the_environment_names_the_machine(tmp_path: Path) -> None:
    found = look_around(tmp_path)
    assert found.cpu
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.memory_gb > 0
    assert found.python == f"{platform.python_implementation()} {platform.python_version()}"
    assert found.packages["msgspec"]
    assert found.flush_ms > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="/proc is Linux")
def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    assert file_system(Path("/proc/self")) == "proc"
    assert file_system(tmp_path) not in ("", "proc")


def test_allocated_memory_is_counted() -> None:
    before = resident_mb()
    with mmap.mmap(-1, 50_000_000) as taken:
        taken.write(b"x" * 50_000_000)
        assert resident_mb() - before > 40
