"""`CpuShare`: a control group that gives the processes in it a fixed share of one processor."""

from __future__ import annotations

from pathlib import Path

from actorium.commands.problem import Problem

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD_US = 20_000


class CpuShare:
    """A control group of Linux, version 1 or 2, for one process; only root may make one.

    share: how much of one processor it gets, from 0 to 1.
    """

    def __init__(self, name: str, share: float) -> None:
        is_v2 = (_GROUPS / "cgroup.controllers").exists()
        self._folder = (_GROUPS if is_v2 else _GROUPS / "cpu") / name
        quota_us = round(share * _PERIOD_US)
        limits = (
            {"cpu.max": f"{quota_us} {_PERIOD_US}"}
            if is_v2
            else {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota_us)}
        )
        try:
            self._folder.mkdir()
            for file, limit in limits.items():
                (self._folder / file).write_text(limit)
        except OSError as error:
            raise Problem(f"cannot limit the CPU time of a process with {self._folder}: {error}") from None

    def add(self, pid: int) -> None:
        """Limit a process, with all its threads."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Remove the group, whose process has ended."""
        self._folder.rmdir()
