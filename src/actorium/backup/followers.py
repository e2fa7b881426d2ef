"""What a backup keeps of the followers of a log, and what is still true of them after a restore.

Projections are rebuilt from the log, and so is the agenda of sagas. What a reaction or an outlet has done is in the
world outside; only its checkpoint tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from actorium.backup.manifest import Manifest
from actorium.store.chain import CHAIN
from actorium.store.event_store import DeadLetter, EventStore, SaveCheckpoint

_REBUILT = ("projection ", "sagas agenda ", CHAIN)  # how the names of their checkpoints begin
_ROUTED = ("saga ", "inbox ")  # they write to this log, and take an event once, however often it is delivered
# Numbers that are a position plus one, so that 0 means that there is none.
_PLUS_ONE_ENDS = (" begins after", " derives ids after", " replays up to")
_PLUS_ONE_BEGINS = ("subscription ",)
_ELSEWHERE = "inbox "  # positions in the log of another service


class FollowersRead(NamedTuple):
    """How far followers are, and the events that they have parked or discarded."""

    checkpoints: dict[str, int]
    dead_letters: tuple[DeadLetter, ...]


class FollowersKept(NamedTuple):
    """What is written to a restored log.

    ahead: the followers that had read events which the restored log does not hold.
    """

    saves: list[SaveCheckpoint]
    ahead: list[str]


async def read_followers(store: EventStore) -> FollowersRead:
    """Return how far the followers of a log are, except those that are rebuilt from it.

    Read the end of the log afterwards: then no follower is beyond it.
    """
    rows = await store.query("SELECT name, position FROM checkpoints ORDER BY name", ())
    checkpoints = {name: number for name, number in rows if not name.startswith(_REBUILT)}
    # After the checkpoints: a letter is written together with the checkpoint that passes its event.
    letters = await store.dead_letters(None)
    return FollowersRead(checkpoints, tuple(one for one in letters if not one.processor.startswith(_REBUILT)))


def followers_at(manifest: Manifest, end: int) -> FollowersKept:
    """Return what is true of the followers once the events of a backup are restored up to a position.

    If that is before the end of the log at the time of the backup, sagas and inboxes read from their beginning: some of
    the events that they wrote are gone.
    """
    is_cut = end < manifest.head
    checkpoints: dict[str, int] = {}
    ahead: list[str] = []
    for name, number in manifest.checkpoints.items():
        is_number_plus_one = name.endswith(_PLUS_ONE_ENDS) or name.startswith(_PLUS_ONE_BEGINS)
        is_progress = not name.endswith(_PLUS_ONE_ENDS)
        if name.startswith(_ROUTED) and is_progress:
            if not is_cut:
                checkpoints[name] = number
        elif name.startswith(_ELSEWHERE):
            checkpoints[name] = number
        else:
            highest = end + is_number_plus_one
            checkpoints[name] = min(number, highest)
            if number > highest and is_progress:
                ahead.append(name)
    letters = [one for one in manifest.dead_letters if _is_kept(one, end, is_cut)]
    return FollowersKept(_saves(checkpoints, letters), ahead)


def _is_kept(letter: DeadLetter, end: int, is_cut: bool) -> bool:
    return not is_cut or (letter.position <= end and not letter.processor.startswith(_ROUTED))


def _saves(checkpoints: Mapping[str, int], letters: list[DeadLetter]) -> list[SaveCheckpoint]:
    names = dict.fromkeys([*checkpoints, *(letter.processor for letter in letters)])
    return [
        SaveCheckpoint(name, checkpoints.get(name, 0), parked=[one for one in letters if one.processor == name])
        for name in names
    ]
