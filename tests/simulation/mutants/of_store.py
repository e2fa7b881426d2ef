"""Mutants of the index of streams in SQLite, hunted with the store that ships on a simulated disk."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest
from simulation.mutants.mutant import mutant
from simulation.mutants.scenarios import accounts

from actorium.store.sqlite.streams import index
from actorium.store.sqlite.streams.index import StreamIndex
from actorium.store.sqlite.streams.recent import RecentEvents, Tail


@mutant(accounts, store="sqlite")
def recent_events_are_dropped_before_they_are_indexed(patch: pytest.MonkeyPatch) -> None:
    """An event is in memory until the index holds it; here a run leaves memory when its merge begins."""
    turn = RecentEvents.turn

    def turn_and_drop(recent: RecentEvents) -> list[Tail]:
        run = turn(recent)
        recent.drop_older(recent.begin)
        return run

    patch.setattr(RecentEvents, "turn", turn_and_drop)


@mutant(accounts, store="sqlite")
def the_mark_of_the_index_moves_with_the_first_slice(patch: pytest.MonkeyPatch) -> None:
    """The mark says that the index is complete up to it; here a crash in the middle of a run loses the rest of it."""
    write_slice = StreamIndex.write_slice

    def write_and_move(one: StreamIndex, db: sqlite3.Connection) -> None:
        write_slice(one, db)
        db.execute(index._MOVE_MARK, (one._run_end, one._run_end))

    patch.setattr(StreamIndex, "write_slice", write_and_move)


@mutant(accounts, store="sqlite")
def a_slice_lacks_its_first_event(patch: pytest.MonkeyPatch) -> None:
    """Every event of a run is indexed; here one of each slice is not."""
    slice_of = index._slice

    def shorter(run: Sequence[Tail], place: Any, events: int) -> Any:
        values, following = slice_of(run, place, events)
        return values[3:], following

    patch.setattr(index, "_slice", shorter)


@mutant(accounts, store="sqlite")
def events_without_an_index_are_not_read_again(patch: pytest.MonkeyPatch) -> None:
    """After a crash the events after the mark are read again; here they stay out of their streams."""
    begin_after = RecentEvents.begin_after

    def begin_with_nothing(recent: RecentEvents, db: sqlite3.Connection, position: int) -> None:
        begin_after(recent, db, position)
        recent.turn()
        recent.drop_older(position)

    patch.setattr(RecentEvents, "begin_after", begin_with_nothing)
