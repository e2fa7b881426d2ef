"""Mutants of the path of a command: dispatcher, mailbox, actor, writer, store, answers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from simulation.mutants.mutant import mutant
from simulation.mutants.scenarios import accounts, accounts_on_a_slow_store, transfers

from actorium.actors.actor import Actor
from actorium.actors.commands import Ack
from actorium.actors.envelope import Envelope
from actorium.actors.hydration import Hydrator
from actorium.actors.pending import PendingAppend
from actorium.actors.snapshots import SnapshotKeeper
from actorium.actors.status import Status
from actorium.runtime.commands.replies import Replies
from actorium.store.errors import Transient, WrongExpectedVersion
from actorium.store.event_store import Append, AppendBatch, Appended, Snapshot
from actorium.store.memory import MemoryStore
from actorium.store.writers.group_commit_writer import GroupCommitWriter


@mutant(accounts)
def acknowledged_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """An acknowledgement means that the events are durable; here it is sent when they are handed to the writer."""
    enqueue = GroupCommitWriter.enqueue

    def acknowledge_and_enqueue(writer: Any, request: PendingAppend[Actor]) -> None:
        enqueue(writer, request)
        envelope = request.envelope
        if envelope.future is not None and not envelope.future.done():
            position = request.actor.kind.host.log_tail.position + len(request.events)
            version = request.expected_version + len(request.events)
            envelope.future.set_result(Ack(envelope.to, version, position, request.decided, envelope.command_id))

    patch.setattr(GroupCommitWriter, "enqueue", acknowledge_and_enqueue)


@mutant(accounts)
def no_command_is_known_again(patch: pytest.MonkeyPatch) -> None:
    """A command takes effect once, however often it is sent; here its id is ignored."""
    append_all = MemoryStore._append_all

    def append_anything(store: MemoryStore, appends: Sequence[Append], recorded_us: int) -> Any:
        return append_all(store, [msgspec.structs.replace(one, command=None) for one in appends], recorded_us)

    patch.setattr(MemoryStore, "_append_all", append_anything)


@mutant(accounts)
def commands_are_forgotten_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """The ids of executed commands are remembered permanently; here only by the process that executed them."""
    open_ = MemoryStore.open

    async def open_and_forget(store: MemoryStore) -> None:
        await open_(store)
        store._commands.clear()

    patch.setattr(MemoryStore, "open", open_and_forget)


@mutant(accounts)
def state_is_kept_after_an_uncertain_write(patch: pytest.MonkeyPatch) -> None:
    """After a failure of the store the log decides; here the actor continues with the state it had decided."""
    outcome_known = Actor.outcome_known

    def keep_state(actor: Actor, request: PendingAppend[Actor], outcome: Any) -> bool:
        if isinstance(outcome, Transient) and actor.pending:
            del actor.pending[0]
            actor.pending = actor.pending or None
            actor.kind.host.answer(request.envelope, outcome)
            for envelope, answer in request.followers or ():
                actor.kind.host.answer_unwritten(envelope, answer)
            return False
        return outcome_known(actor, request, outcome)

    patch.setattr(Actor, "outcome_known", keep_state)


@mutant(accounts)
def a_refused_append_is_taken_for_written(patch: pytest.MonkeyPatch) -> None:
    """A command whose append lost a race is decided again; here it is acknowledged."""
    outcome_known = Actor.outcome_known

    def swallow(actor: Actor, request: PendingAppend[Actor], outcome: Any) -> bool:
        if not isinstance(outcome, WrongExpectedVersion):
            return outcome_known(actor, request, outcome)
        host = request.actor.kind.host
        position: int = host.log_tail.position  # type: ignore[attr-defined]
        if outcome_known(actor, request, position):
            host.acknowledge(request, position)
        return False

    patch.setattr(Actor, "outcome_known", swallow)


@mutant(accounts)
def what_was_decided_on_a_refused_append_is_written(patch: pytest.MonkeyPatch) -> None:
    """A rejected append invalidates everything decided after it; here that is still written."""
    begin_recovery = Actor._begin_recovery
    append_all = MemoryStore._append_all

    def withdraw_nothing(actor: Actor, *, withdraw: bool) -> None:
        begin_recovery(actor, withdraw=False)

    def append_at_the_end(store: MemoryStore, appends: Sequence[Append], recorded_us: int) -> Any:
        outcomes = []
        for one in appends:
            version = len(store._streams.get(one.stream, ()))
            outcomes += append_all(store, [msgspec.structs.replace(one, expected_version=version)], recorded_us)
        return outcomes

    patch.setattr(Actor, "_begin_recovery", withdraw_nothing)
    patch.setattr(MemoryStore, "_append_all", append_at_the_end)


@mutant(accounts)
def a_refusal_rests_on_what_is_not_written(patch: pytest.MonkeyPatch) -> None:
    """A rejection that depends on uncommitted events waits for them; here it is sent at once."""
    reply = Actor._reply

    def reply_at_once(actor: Actor, envelope: Envelope, outcome: Any) -> None:
        if envelope.handler is not None:
            actor.kind.host.answer_unwritten(envelope, outcome)
        else:
            reply(actor, envelope, outcome)

    patch.setattr(Actor, "_reply", reply_at_once)


@mutant(accounts)
def a_read_rests_on_what_is_not_written(patch: pytest.MonkeyPatch) -> None:
    """A reader sees only committed events; here it sees decided events that may never be written."""
    reply = Actor._reply

    def reply_at_once(actor: Actor, envelope: Envelope, outcome: Any) -> None:
        if envelope.handler is None:
            actor.kind.host.answer_unwritten(envelope, outcome)
        else:
            reply(actor, envelope, outcome)

    patch.setattr(Actor, "_reply", reply_at_once)


@mutant(accounts)
def a_duplicate_is_answered_as_if_new(patch: pytest.MonkeyPatch) -> None:
    """A repeated command gets the same answer as before; here it gets the end of the log and no events."""

    async def answer_anything(replies: Replies, envelope: Envelope, record: Any) -> None:
        replies.answer(envelope, replies._with_position(Ack(envelope.to, record.version, 0, (), envelope.command_id)))

    patch.setattr(Replies, "_answer_first_effect", answer_anything)


@mutant(accounts)
def a_refused_repetition_is_not_looked_up(patch: pytest.MonkeyPatch) -> None:
    """A command that took effect stays acknowledged; here a repetition is rejected if the state no longer allows it."""

    def answer_unwritten(replies: Replies, envelope: Envelope, outcome: Any) -> None:
        replies.answer(envelope, replies._with_position(outcome) if type(outcome) is Ack else outcome)

    patch.setattr(Replies, "answer_unwritten", answer_unwritten)


@mutant(accounts)
def an_actor_is_stuck_when_a_caller_leaves(patch: pytest.MonkeyPatch) -> None:
    """A cancelled caller does no harm; here its actor never runs again."""
    turn = Actor.turn

    def stop_at_those_who_left(actor: Actor, budget: int) -> int:
        if actor.mailbox and actor.mailbox[0].future is not None and actor.mailbox[0].future.done():
            actor.kind.host.answer(actor.mailbox.pop(0), None)
            return 1
        return turn(actor, budget)

    patch.setattr(Actor, "turn", stop_at_those_who_left)


@mutant(accounts)
def mail_is_lost_in_a_recovery(patch: pytest.MonkeyPatch) -> None:
    """Every delivered command is answered; here the last of the commands decided again is dropped."""
    undo = Actor._undo

    def undo_but_the_last(actor: Actor, request: PendingAppend[Actor], undone: list[Envelope]) -> None:
        undo(actor, request, undone)
        if request.ends_recovery and undone:
            undone.pop()

    patch.setattr(Actor, "_undo", undo_but_the_last)


@mutant(accounts)
def mail_is_handled_twice_after_hydration(patch: pytest.MonkeyPatch) -> None:
    """A command is decided once; here the first one after a hydration is decided again as a new command."""
    hydrated = Actor.hydrated

    def twice(actor: Actor, state: Any, version: int) -> None:
        if actor.mailbox and version and (first := actor.mailbox[0]).handler is not None:
            again = msgspec.structs.replace(first, command_id=f"{first.command_id} again", future=None)
            actor.mailbox.insert(0, again)
            actor.kind.host.admission.in_flight += 1  # type: ignore[attr-defined]
        hydrated(actor, state, version)

    patch.setattr(Actor, "hydrated", twice)


@mutant(accounts_on_a_slow_store)
def an_actor_is_forgotten_with_an_append_in_flight(patch: pytest.MonkeyPatch) -> None:
    """A stream has one actor; here a second one is hydrated while the first one's append is in flight."""
    forgettable = frozenset({Status.IDLE, Status.COLD, Status.FAILED})
    patch.setattr(Actor, "is_idle", property(lambda actor: not actor.mailbox and actor.status in forgettable))


@mutant(accounts)
def hydration_ends_at_the_snapshot(patch: pytest.MonkeyPatch) -> None:
    """A state is its snapshot plus the events after it; here those events are left out."""
    apply = Hydrator._apply

    def apply_snapshot_only(hydrator: Hydrator, one: Any, page: Any) -> None:
        apply(hydrator, one, page if page.snapshot is None else msgspec.structs.replace(page, events=[]))

    patch.setattr(Hydrator, "_apply", apply_snapshot_only)


@mutant(accounts)
def a_snapshot_has_the_version_before(patch: pytest.MonkeyPatch) -> None:
    """A snapshot is the state at its version; here it has the version before, so an event is applied twice."""
    take = SnapshotKeeper.take

    def take_for_another(keeper: SnapshotKeeper, stream: Any, state: Any, version: int) -> Snapshot | None:
        return take(keeper, stream, state, version - 1)

    patch.setattr(SnapshotKeeper, "take", take_for_another)


@mutant(accounts)
def a_snapshot_is_taken_of_what_is_not_written(patch: pytest.MonkeyPatch) -> None:
    """A snapshot contains committed events; here it is saved when they are decided, and stays if they are rejected."""
    take_snapshot = Actor._take_snapshot

    def take_and_save(actor: Actor, request: PendingAppend[Actor], snapshots: SnapshotKeeper) -> None:
        take_snapshot(actor, request, snapshots)
        if request.snapshot is not None:
            actor.kind.host.save_snapshot(request.snapshot)
            request.snapshot = None

    def save_snapshot(store: MemoryStore, snapshot: Snapshot) -> None:
        store._snapshots[snapshot.stream, snapshot.fingerprint] = snapshot

    patch.setattr(Actor, "_take_snapshot", take_and_save)
    patch.setattr(MemoryStore, "_save_snapshot", save_snapshot)


@mutant(transfers)
def recorded_time_follows_the_clock(patch: pytest.MonkeyPatch) -> None:
    """Recorded time never moves backwards in the log; here it follows the machine's clock."""
    append = MemoryStore.append

    async def append_at_any_time(store: MemoryStore, batch: AppendBatch) -> Appended:
        store._recorded_us = 0
        return await append(store, batch)

    patch.setattr(MemoryStore, "append", append_at_any_time)


@mutant(accounts)
def a_failed_commit_is_told_to_nobody(patch: pytest.MonkeyPatch) -> None:
    """The result of every append is reported; here those of a failed batch are not, and their callers hang."""
    report = GroupCommitWriter._report

    def report_success_only(writer: Any, flight: Any) -> None:
        if isinstance(flight.outcome, Transient):
            flight.requests = []
        report(writer, flight)

    patch.setattr(GroupCommitWriter, "_report", report_success_only)


@mutant(accounts)
def a_task_outlives_the_runtime(patch: pytest.MonkeyPatch) -> None:
    """A stopped runtime leaves no task; here nobody waits for the lookup of a command."""
    ask = Replies._ask

    def ask_and_watch(replies: Replies, question: Any) -> None:
        ask(replies, question)
        asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="watch of a look-up")

    patch.setattr(Replies, "_ask", ask_and_watch)
