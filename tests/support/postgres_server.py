"""The PostgreSQL server that all test processes of one installation share.

The first process starts it through a guardian, a process of its own that outlives the tests; each holds a shared lock
on a file while it uses the server. The operating system drops a lock with its process, however that ends, and the
guardian stops the server when nobody holds one any more.
"""

import fcntl
import functools
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from actorium.testing.postgresql.server import PostgresServer, locked, temporary_path

# A killed process loses nothing without it, and no test cuts the power.
NO_FLUSH = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}


@functools.cache
def shared_server_url() -> str:
    """Return the URL of the server that this installation's tests share; start it first if nobody has."""
    folder = temporary_path("server")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    with locked(folder / "starting.lock", fcntl.LOCK_EX):
        users = (folder / "users.lock").open("a")
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a guardian is stopping the last server
        _in_use.append(users)
        ready = folder / "url"
        if ready.exists() and not _answers(ready.read_text()):
            ready.unlink()  # its guardian was killed
        if not ready.exists():
            command = [sys.executable, __file__, folder]
            with (folder / "guardian.log").open("w") as log:
                guardian = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True)
            while not ready.exists():
                assert guardian.poll() is None, (folder / "guardian.log").read_text()
                time.sleep(0.05)
            guardian.returncode = 0  # it outlives this process, which is no reason for a warning
        return ready.read_text()


def _answers(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2].partition("/")[0]))) == 0


_in_use: list[IO[str]] = []
"""Open files that hold this process's locks; the system closes them."""


def guard(folder: Path) -> None:
    """Run the shared server until no process holds a lock on it."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    server = PostgresServer(folder, **NO_FLUSH).start()
    try:
        ready = folder / "url"
        ready.with_suffix(".new").write_text(server.url())
        ready.with_suffix(".new").rename(ready)
        with locked(folder / "users.lock", fcntl.LOCK_EX):
            ready.unlink()
            server.stop()
            shutil.rmtree(folder / "data", ignore_errors=True)
    finally:
        server.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard(Path(sys.argv[1]))
