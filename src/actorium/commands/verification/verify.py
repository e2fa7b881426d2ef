"""`actorium verify`: a log compared with heads that were kept elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Problem
from actorium.commands.reading import log_to_read
from actorium.commands.screen import Screen
from actorium.commands.verification.key_files import read_heads, read_key
from actorium.store.urls import open_store
from actorium.store.wording import counted
from actorium.verification import LogHead, Verification
from actorium.verification import verify as verify_log

HeadFiles = Annotated[
    tuple[Path, ...],
    Parameter(
        name="--head",
        help="The file of a head that `actorium head` printed; repeat the option for several. More heads narrow down "
        "where the log differs.",
    ),
]
PublicKey = Annotated[
    Path | None,
    Parameter(name="--public-key", help="The file of the public key with which the heads must be signed."),
]


def verify(source: str, /, *, heads: HeadFiles = (), public_key: PublicKey = None, json: JsonFile = None) -> None:
    """Compare a log with heads that were kept elsewhere, and with its stored chain of hashes.

    Every event is read and hashed. The log is opened read-only, and its application may be running. The exit code is 1
    if an event was changed, removed or replaced, or if a head was not signed with the key.

    Parameters
    ----------
    source
        The URL of the log, such as sqlite:///bank.db.
    """
    screen = screen_beside(json)
    found_heads = require_trusted(read_heads(heads), public_key)
    found = asyncio.run(_verify(screen, source, found_heads))
    if json is not None:
        write_json({"log": source, **msgspec.structs.asdict(found)}, json)
    report(screen, found, found_heads, public_key)


def require_trusted(heads: Sequence[LogHead], public_key: Path | None) -> list[LogHead]:
    """Return heads; raise DamagedLog if a public key is given and did not sign one of them."""
    if public_key is not None:
        from actorium.verification.signatures import require_signature

        key = read_key(public_key)
        for head in heads:
            require_signature(head, key, str(public_key))
    return [*heads]


def report(screen: Screen, found: Verification, heads: Sequence[LogHead], public_key: Path | None) -> None:
    """Print what a verification found; raise Problem if something is wrong."""
    if found.problem:
        raise Problem(found.describe())
    if heads:
        screen.say(f"the log matches the head at position {found.covered:,}")
        if found.end > found.covered:
            screen.say(f"{counted(found.end - found.covered, 'later event')} not covered by it")
    if found.linked:
        screen.say(f"the log matches its stored chain up to position {found.linked:,}")
    if not heads:
        screen.note("without a head that was kept elsewhere, a log whose chain was rewritten too looks the same")
    elif public_key is None:
        screen.note("the signature of the head was not checked: give --public-key")


async def _verify(screen: Screen, source: str, heads: Sequence[LogHead]) -> Verification:
    async with log_to_read(open_store(source), verified=False) as store:
        with screen.progress("verifying", (await store.head()).position) as told:
            return await verify_log(store, heads, told)
