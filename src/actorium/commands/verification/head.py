"""`actorium head`: the hash of a log, to be kept elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actorium.commands.json_report import STANDARD_STREAM, write_text
from actorium.commands.reading import log_to_read
from actorium.commands.screen import Screen
from actorium.commands.verification.key_files import read_heads, read_key
from actorium.store.urls import open_store
from actorium.verification import LogHead, encode_head, head_of


def head(source: str, /, *, sign: Path | None = None, after: Path | None = None) -> None:
    """Print the head of a log: the hash of everything in it so far.

    Keep it where nobody who can change the log can change it: on another machine, in a repository, on paper. `actorium
    verify` compares the log with it later. The log is opened read-only, and its application may be running.

    Parameters
    ----------
    source
        The URL of the log, such as sqlite:///bank.db.
    sign
        Sign the head with the private key in this file, which `actorium keys new` wrote.
    after
        The file of an earlier head. If the log no longer matches it, the command fails and prints no head.
    """
    key = None if sign is None else read_key(sign)
    if key is not None:
        from actorium.verification.signatures import require_private_key

        require_private_key(key, str(sign))  # better now than after the log was read
    earlier = None if after is None else read_heads([after])[0]
    found = asyncio.run(_head(Screen(aside=True), source, earlier))
    if key is not None:
        from actorium.verification.signatures import signed

        found = signed(found, key)
    write_text(encode_head(found).decode(), STANDARD_STREAM)


async def _head(screen: Screen, source: str, earlier: LogHead | None) -> LogHead:
    async with log_to_read(open_store(source), verified=False) as store:
        with screen.progress("hashing", (await store.head()).position) as told:
            return await head_of(store, told, after=earlier)
