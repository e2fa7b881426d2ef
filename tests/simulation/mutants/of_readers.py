"""Mutants of the followers of the log: the hand-over from log to memory, projections, dead letters."""

from collections.abc import Collection, Sequence
from itertools import count
from typing import Any

import msgspec
import pytest
from simulation.mutants.mutant import mutant
from simulation.mutants.scenarios import accounts, presents

from actorium.runtime.log.log_reader import LogReader
from actorium.runtime.log.log_tail import LogTail
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.delivery import Attempts, SequentialDelivery
from actorium.runtime.processors.reactions import ReactionWork
from actorium.runtime.projections.queries import ReadModel
from actorium.store.event_store import DeadLetter, SaveCheckpoint, Statement, StreamPage, StreamRead
from actorium.store.events import Event, RecordedEvent
from actorium.store.memory import MemoryStore


@mutant(accounts)
def events_between_log_and_memory_are_missed(patch: pytest.MonkeyPatch) -> None:
    """A follower gets every event; here it misses those that left memory before it had read that far in the log."""
    after = LogTail.after

    def after_with_a_gap(log_tail: LogTail, position: int) -> Any:
        kept = log_tail._kept
        if kept and position < log_tail.position and position + 1 < kept[0].first:
            return kept[0].events()
        return after(log_tail, position)

    patch.setattr(LogTail, "after", after_with_a_gap)


@mutant(accounts)
def what_only_the_log_has_is_passed_over(patch: pytest.MonkeyPatch) -> None:
    """Events written by a commit that seemed to fail are in the log; here the next events take their place."""

    def after(log_tail: LogTail, position: int) -> Any:
        for batch in log_tail._kept:
            if position < batch.last:
                return batch.events()[max(0, position + 1 - batch.first) :]
        return None

    patch.setattr(LogTail, "_forget", lambda log_tail: None)
    patch.setattr(LogTail, "after", after)


@mutant(accounts)
def events_are_given_out_again_from_memory(patch: pytest.MonkeyPatch) -> None:
    """A follower gets an event once; here it gets the whole batch again when it resumes in its middle."""

    def whole_batch(log_tail: LogTail, position: int) -> Any:
        return next((batch.events() for batch in log_tail._kept if batch.first <= position + 1 <= batch.last), None)

    patch.setattr(LogTail, "after", whole_batch)


@mutant(accounts)
def a_checkpoint_is_read_one_too_low(patch: pytest.MonkeyPatch) -> None:
    """A projection handles an event once; here it handles the last one again after each restart."""
    load = Checkpoint.load

    async def load_one_less(checkpoint: Checkpoint) -> int:
        position = await load(checkpoint)
        if position:
            checkpoint.move_in_memory(position - 1)
        return checkpoint.position

    patch.setattr(Checkpoint, "load", load_one_less)


@mutant(accounts)
def a_checkpoint_is_saved_before_its_statements(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint and its statements are one commit; here they are two, and a crash loses the statements."""
    save = Checkpoint.save

    async def save_in_two(
        checkpoint: Checkpoint, position: int, statements: Sequence[Statement] = (), **more: Any
    ) -> None:
        await save(checkpoint, position)
        await save(checkpoint, position, statements, **more)

    patch.setattr(Checkpoint, "save", save_in_two)


@mutant(accounts)
def statements_are_written_before_their_checkpoint(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint and its statements are one commit; here they are two, and a crash repeats the statements."""
    save = Checkpoint.save

    async def save_in_two(
        checkpoint: Checkpoint, position: int, statements: Sequence[Statement] = (), **more: Any
    ) -> None:
        before = checkpoint.position
        await save(checkpoint, before, statements, **more)
        await save(checkpoint, position)

    patch.setattr(Checkpoint, "save", save_in_two)


@mutant(accounts)
def a_failed_event_is_passed_over(patch: pytest.MonkeyPatch) -> None:
    """An event whose handler raises is retried; here it is silently skipped."""

    def apply_what_works(
        delivery: Any, events: Any, begun: int, end: int, statements: list[Statement]
    ) -> tuple[int, Exception | None]:
        for delivered in events[begun:end]:
            mark = len(statements)
            try:
                delivery._handler.apply(delivered, statements)
            except Exception:
                del statements[mark:]
        return end, None

    patch.setattr(SequentialDelivery, "_apply", apply_what_works)


@mutant(accounts)
def a_poison_event_is_not_parked(patch: pytest.MonkeyPatch) -> None:
    """An event that fails at every attempt is parked with its error; here the position moves past it."""
    save = Checkpoint.save

    async def save_without_letters(
        checkpoint: Checkpoint,
        position: int,
        statements: Sequence[Statement] = (),
        *,
        parked: Sequence[DeadLetter] = (),
        **more: Any,
    ) -> None:
        await save(checkpoint, position, statements, **more)

    async def one_attempt(attempts: Attempts, delivered: Any, attempt: int, error: Exception) -> bool:
        return False

    patch.setattr(Checkpoint, "save", save_without_letters)
    patch.setattr(Attempts, "wait", one_attempt)


@mutant(accounts)
def a_query_does_not_wait_for_its_position(patch: pytest.MonkeyPatch) -> None:
    """A query `after=` a command sees that command; here it gets the current content."""

    async def at_least(model: ReadModel, position: int, timeout_s: float, *, stale: bool = False) -> None:
        await model.checkpoint.ready.wait()

    patch.setattr(ReadModel, "at_least", at_least)


@mutant(accounts)
def a_handler_of_a_base_class_gets_no_subclass(patch: pytest.MonkeyPatch) -> None:
    """A handler of a base class of events gets its subclasses; here it gets events of exactly that class."""

    def wanted(reader: LogReader, classes: Collection[type[Event]] | None) -> Any:
        return None if classes is None else frozenset(classes)

    patch.setattr(LogReader, "wanted", wanted)


@mutant(accounts)
def a_page_that_is_full_of_bytes_is_taken_for_the_last(patch: pytest.MonkeyPatch) -> None:
    """A stream continues after a page that is full; here it ends there, as small pages show."""
    read_streams = MemoryStore.read_streams

    async def read_short_pages(store: MemoryStore, reads: Sequence[StreamRead], max_bytes: int = 0) -> list[StreamPage]:
        pages = await read_streams(store, reads, max_bytes=40)
        return [msgspec.structs.replace(page, is_last=True) for page in pages]

    patch.setattr(MemoryStore, "read_streams", read_short_pages)


@mutant(presents)
def a_reaction_has_another_key_at_each_attempt(patch: pytest.MonkeyPatch) -> None:
    """The key of a reaction is the same at every attempt; here each attempt has its own."""
    react, attempts = ReactionWork.react, count()

    async def react_anew(work: ReactionWork, recorded: RecordedEvent[Event]) -> None:
        await react(work, msgspec.structs.replace(recorded, part=next(attempts)))

    patch.setattr(ReactionWork, "react", react_anew)


@mutant(presents)
def a_reaction_forgets_that_it_was_begun_on_an_empty_log(patch: pytest.MonkeyPatch) -> None:
    """A reaction gets every event since it began; here it begins again if it was killed early."""

    async def take_as_replay(work: ReactionWork, position: int) -> None:
        if position:
            await work._checkpoint.writer(SaveCheckpoint(work._replay_name, position + 1))
        work._replay_up_to = position

    patch.setattr(ReactionWork, "_take_as_replay", take_as_replay)
