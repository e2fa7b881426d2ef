"""The control socket: a Unix socket beside an SQLite log, for the command line, while the application runs.

Only the owner of the log's file may use it (mode 0600), so it needs no token: whoever can write the file could do
worse. Actions are recorded under the name of the user at the other end.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from actorium.application import Runtime
from actorium.console.access import Operator
from actorium.console.console import Console
from actorium.console.masking import SHOW_ALL
from actorium.console.server import HEAD_BYTES_MAX, SmallServer
from actorium.store.errors import ConfigurationError
from actorium.store.sqlite.adapter import SQLiteStore

PATH_BYTES_MAX = 107
"""The longest path of a Unix socket that Linux takes."""

_CREDENTIALS = struct.Struct("3i")  # of SO_PEERCRED: process, user, group


def socket_path(db: str | os.PathLike[str]) -> Path:
    """Return where the control socket of the log in a file is."""
    return Path(f"{os.fspath(db)}.sock")


@asynccontextmanager
async def control_socket(runtime: Runtime, path: str | os.PathLike[str] | None = None) -> AsyncIterator[Path]:
    """Serve a running application to the command line while the block runs.

    `async with runtime, control_socket(runtime):` lets `actorium sagas retry …` and the other commands for a running
    application find it by its log.

    path: where the socket is; by default beside the SQLite log, with the name of the file and `.sock`.

    Raises ConfigurationError for a path that is too long, or if another process serves it.
    """
    place = Path(path) if path is not None else socket_path(_file_of(runtime))
    if len(os.fsencode(place)) > PATH_BYTES_MAX:
        raise ConfigurationError(
            f"the path of a Unix socket has at most {PATH_BYTES_MAX} bytes, {place} has more: give a path"
        )
    _remove_abandoned(place)
    console = Console(runtime, actions=True, authorize=_peer, hosts=["*"], masking=SHOW_ALL)
    serving = SmallServer(console, peer=_operator_at)
    before = os.umask(0o177)  # the socket must never be open to others, not even for a moment
    try:
        server = await asyncio.start_unix_server(serving.connected, place, limit=HEAD_BYTES_MAX)
    finally:
        os.umask(before)
    try:
        yield place
    finally:
        server.close()
        await serving.stop()
        await server.wait_closed()
        place.unlink(missing_ok=True)


def _file_of(runtime: Runtime) -> str:
    store = runtime.store
    if isinstance(store, SQLiteStore):
        return store.path
    raise ConfigurationError(
        f"{store.describe()} is not a file that a socket can lie beside: control_socket(runtime, path=…)"
    )


def _remove_abandoned(place: Path) -> None:
    """Remove a socket that a killed process left; raise ConfigurationError if one is served."""
    if not place.exists():
        return
    if not place.is_socket():
        raise ConfigurationError(f"{place} is in the way of the control socket: it is a file of another kind")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(place))
        except ConnectionRefusedError:
            place.unlink(missing_ok=True)
            return
        except OSError as error:
            raise ConfigurationError(f"{place} is in the way of the control socket: {error.strerror}") from error
    raise ConfigurationError(f"another process serves {place}")


def _peer(scope: Mapping[str, Any]) -> Operator | None:
    peer: Operator | None = scope.get("actorium.peer")
    return peer


def _operator_at(writer: asyncio.StreamWriter) -> Operator | None:
    """Return the user at the other end of a connection."""
    connection = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = f"user {user}"
    return Operator(name, "correct", names_others=True)
