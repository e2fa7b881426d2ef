"""`Crash`: an import in a separate process, which kills itself with SIGKILL in the middle of its work.

The process writes one line to a pipe for each acknowledged command, immediately and unbuffered. So after its death
the reader knows exactly which commands were acknowledged. The lines are `ack <command id> <version> <position>`,
`progress <rows done>`, and finally `kill <commands in flight>`, or `failed <why>` if something went wrong.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from actorium import Ack, ActoriumError, Runtime
from actorium.examples.bank.domain import Account
from actorium.examples.bank.importer import Importer, ImportReport, TooManyBadRows
from actorium.examples.bank.transactions import read_transactions
from actorium.store.sqlite import SQLiteStore


class CrashFailed(Exception):
    """The process did not end by its own SIGKILL."""


class Crash:
    """The result of the process.

    acknowledged: command id → position in the log, as given in the replies.
    under_way: the number of commands that were sent but not answered when it was killed.
    busy_s: the time from its first reply to its last.
    """

    def __init__(self) -> None:
        self.acknowledged: dict[str, int] = {}
        self.under_way = 0
        self.pid = 0
        self.busy_s = 0.0

    def run(self, file: Path, db: Path, *, kill_after: int, on_progress: Callable[[int], None]) -> None:
        """Import a file into a log until `kill_after` rows are done; raise CrashFailed if it ends otherwise."""
        command = [sys.executable, "-m", "actorium.examples.bank.crashes.crash", str(file), str(db), str(kill_after)]
        failed = ""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            self.pid = process.pid
            assert process.stdout is not None
            began = 0.0
            try:
                for line in process.stdout:
                    word, _, rest = line.decode().rstrip("\n").partition(" ")
                    if word == "ack":
                        id, _, position = rest.split(" ")
                        self.acknowledged[id] = int(position)
                        began = began or time.perf_counter()
                    elif word == "progress":
                        on_progress(int(rest))
                    elif word == "kill":
                        self.under_way = int(rest)
                        self.busy_s = time.perf_counter() - began
                    else:
                        failed = rest
            except BaseException:
                process.kill()  # it can be killed at any moment: that is its purpose
                raise
        if process.returncode != -signal.SIGKILL:
            raise CrashFailed(failed or f"the importing process ended with {process.returncode} before its SIGKILL")


class _Pipe:
    """The pipe to the other process: each line is one write, complete when the call returns."""

    def __init__(self, kill_after: int) -> None:
        self._kill_after = kill_after
        self._descriptor = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # other output must not mix with the lines

    def write(self, line: str) -> None:
        os.write(self._descriptor, f"{line}\n".encode())

    def acknowledged(self, ack: Ack) -> None:
        self.write(f"ack {ack.command_id} {ack.version} {ack.position}")

    def progressed(self, report: ImportReport) -> None:
        self.write(f"progress {report.done}")
        if report.done >= self._kill_after:
            self.write(f"kill {report.under_way}")
            os.kill(os.getpid(), signal.SIGKILL)


async def _import(file: str, db: str, pipe: _Pipe) -> None:
    async with Runtime([Account], store=SQLiteStore(db)) as runtime:
        importer = Importer(runtime, on_ack=pipe.acknowledged, on_progress=pipe.progressed)
        await importer.run(read_transactions(file))


def main(file: str, db: str, kill_after: str) -> None:
    """Import, report to the pipe, and be killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the other process decides
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    pipe = _Pipe(int(kill_after))
    try:
        asyncio.run(_import(file, db, pipe))
    except (ActoriumError, OSError, TooManyBadRows) as error:
        pipe.write(f"failed {error}".replace("\n", " "))
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
