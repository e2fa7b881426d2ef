"""Mutants of sagas and submitted commands: plans, intents, attempts, the agenda and its clock."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from msgspec.structs import astuple
from simulation.mutants.mutant import mutant
from simulation.mutants.scenarios import NAMES, guessed_ids, late_commands, orders, transfers

from actorium.actors.actor import Actor
from actorium.actors.pending import PendingAppend
from actorium.runtime.commands.derived_ids import DerivedId
from actorium.runtime.processors.checkpoint import Checkpoint
from actorium.runtime.processors.concurrent_delivery import ConcurrentDelivery
from actorium.sagas.agenda import agenda
from actorium.sagas.agenda.agenda import Agenda
from actorium.sagas.execution.command_runner import CommandRunner, Report
from actorium.sagas.execution.intent_runner import IntentRunner
from actorium.sagas.execution.step_runner import StepRunner
from actorium.sagas.execution.submission_runner import SubmissionRunner
from actorium.sagas.model.definition import SagaDefinition
from actorium.sagas.model.events import SagaUndone, StepIssued
from actorium.sagas.model.intents import Intent, IntentKey, issued_intent
from actorium.sagas.model.plan import StepPlan
from actorium.sagas.saga_engine import SagaEngine
from actorium.store.errors import ActoriumError
from actorium.store.events import Event, RecordedEvent
from actorium.store.names import event_id
from actorium.store.writers.group_commit_writer import GroupCommitWriter


def send_under_new_ids(patch: pytest.MonkeyPatch, policy: type[CommandRunner]) -> None:
    attempt = policy._attempt

    async def attempt_with_new_id(runner: CommandRunner, key: IntentKey, *more: Any) -> Any:
        class NewId(IntentKey):
            def command_id(self, index: int, id_form: int, round: int = 0) -> DerivedId:
                return DerivedId(runner._source.new_id())

        return await attempt(runner, NewId(*astuple(key)), *more)

    patch.setattr(policy, "offer", lambda *_: None)
    patch.setattr(policy, "_attempt", attempt_with_new_id)


@mutant(transfers)
def a_step_has_another_id_at_each_attempt(patch: pytest.MonkeyPatch) -> None:
    """A step's command has the same id at every attempt, so it takes effect once; here each attempt has its own."""
    send_under_new_ids(patch, StepRunner)


@mutant(transfers)
def nothing_is_undone(patch: pytest.MonkeyPatch) -> None:
    """A saga that compensates undoes its steps; here it only records so."""

    def undo_nothing(plan: StepPlan) -> None:
        plan._events.append(SagaUndone(plan._cause or ""))

    patch.setattr(StepPlan, "_undo_next", undo_nothing)


@mutant(transfers)
def a_step_is_left_out(patch: pytest.MonkeyPatch) -> None:
    """The steps of a saga run one after the other; here the second one is skipped."""
    next_step = SagaDefinition.next_step

    def next_but_one(definition: SagaDefinition, after: str) -> Any:
        step = next_step(definition, after)
        return step if step is None or step.name != "charge" else next_step(definition, step.name)

    patch.setattr(SagaDefinition, "next_step", next_but_one)


@mutant(transfers)
def steps_are_undone_in_the_order_of_their_doing(patch: pytest.MonkeyPatch) -> None:
    """The last step is undone first; here the first one is."""
    undo_next = StepPlan._undo_next

    def undo_first(plan: StepPlan) -> None:
        done = plan._done
        plan._done = dict(reversed(done.items()))
        undo_next(plan)
        plan._done = done

    patch.setattr(StepPlan, "_undo_next", undo_first)


@mutant(transfers)
def a_step_is_sent_before_it_is_recorded(patch: pytest.MonkeyPatch) -> None:
    """A step's commands are sent after the event that records them is durable; here when it is decided."""
    runners: dict[asyncio.AbstractEventLoop, IntentRunner] = {}
    init, enqueue = IntentRunner.__init__, GroupCommitWriter.enqueue

    def init_and_tell(runner: IntentRunner, policy: CommandRunner, *more: Any, **options: Any) -> None:
        init(runner, policy, *more, **options)
        if isinstance(policy, StepRunner):
            runners[asyncio.get_running_loop()] = runner

    def enqueue_and_send(writer: Any, request: PendingAppend[Actor]) -> None:
        enqueue(writer, request)
        for event in request.decided:
            if isinstance(event, StepIssued) and event.commands:
                key = IntentKey(request.actor.kind.type, request.actor.id, event.key)
                commands = dict(enumerate(event.commands))
                cause = event_id(request.stream, 1)
                intent = Intent(event.step, event.undo, commands, event.effect, request.metadata.flow_id, cause)
                runners[asyncio.get_running_loop()].start(key, intent)

    patch.setattr(IntentRunner, "__init__", init_and_tell)
    patch.setattr(GroupCommitWriter, "enqueue", enqueue_and_send)


@mutant(transfers)
def what_is_under_way_at_a_deadline_counts_as_not_done(patch: pytest.MonkeyPatch) -> None:
    """At a deadline the log decides what took effect; here nobody asks it, and the effects are not undone."""
    tell = StepRunner.tell

    async def tell_without_the_id(runner: StepRunner, key: IntentKey, intent: Intent, report: Report) -> bool:
        return await tell(runner, key, intent, report._replace(taken_id=""))

    patch.setattr(StepRunner, "tell", tell_without_the_id)


def look_up_instead_of_taking_the_id(patch: pytest.MonkeyPatch, policy: type[CommandRunner]) -> None:
    tell = policy.tell

    async def look_up_and_tell(runner: CommandRunner, key: IntentKey, intent: Intent, report: Report) -> bool:
        if report.taken_id:
            dispatcher = runner._dispatcher
            for name in NAMES:  # a read behind the command at its actor: everything before it is durable or gone
                with suppress(ActoriumError):
                    await dispatcher.read("Account", name, 30.0)
            if (await runner._store.find_commands([report.taken_id])).get(report.taken_id) is not None:
                return False
        return await tell(runner, key, intent, report._replace(taken_id=""))

    patch.setattr(policy, "tell", look_up_and_tell)


@mutant(late_commands)
def a_step_that_is_over_leaves_the_ids_of_its_commands(patch: pytest.MonkeyPatch) -> None:
    """A command that did not take effect is recorded under its id; here the log is only searched, and a copy comes
    later.
    """
    look_up_instead_of_taking_the_id(patch, StepRunner)


@mutant(late_commands)
def an_order_that_failed_leaves_its_id(patch: pytest.MonkeyPatch) -> None:
    """A failed order is recorded under its id; here the log is only searched, and a copy comes later."""
    look_up_instead_of_taking_the_id(patch, SubmissionRunner)


@mutant(late_commands)
def a_cancelled_order_leaves_its_id(patch: pytest.MonkeyPatch) -> None:
    """A cancellation is recorded under the id of its command; here under its own, and the command comes later."""
    ask = SagaEngine._ask

    async def ask_under_a_new_id(engine: SagaEngine, kind: Any, command: Any, **identity: Any) -> Any:
        return await ask(engine, kind, command)

    patch.setattr(SagaEngine, "_ask", ask_under_a_new_id)


@mutant(transfers)
def open_steps_are_forgotten_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """Open work is resumed from the agenda after a restart; here only work recorded afterwards is."""

    async def look_nowhere(agenda: Agenda) -> None:
        agenda._looked_us = agenda._source.now_us()

    def take_up_nothing(agenda: Agenda, row: Any, due_us: int) -> None:
        if agenda.started.is_set():
            add_soon(agenda, row, due_us)

    add_soon = Agenda._add_soon
    patch.setattr(Agenda, "_look", look_nowhere)
    patch.setattr(Agenda, "_add_soon", take_up_nothing)


@mutant(transfers)
def an_event_is_over_before_its_saga_has_it(patch: pytest.MonkeyPatch) -> None:
    """The checkpoint moves past an event once its saga has it; here it moves before, and a crash loses the event."""
    page = ConcurrentDelivery.page

    async def move_first(delivery: ConcurrentDelivery, events: Any, position: int) -> None:
        await Checkpoint.save(delivery._checkpoint, position)
        await page(delivery, events, position)

    patch.setattr(ConcurrentDelivery, "page", move_first)


@mutant(orders)
def an_order_is_sent_under_a_new_id(patch: pytest.MonkeyPatch) -> None:
    """A submitted command has the same id at every attempt; here it is executed again after a restart."""
    send_under_new_ids(patch, SubmissionRunner)


@mutant(orders)
def an_order_is_carried_out_at_once(patch: pytest.MonkeyPatch) -> None:
    """A command submitted for later waits until it is due; here it is executed when it is first examined."""
    add_soon = Agenda._add_soon
    patch.setattr(Agenda, "_add_soon", lambda agenda, row, due_us: add_soon(agenda, row, 0))


@mutant(orders)
def an_order_for_later_is_forgotten_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """A command submitted for later survives restarts; here its timer is only in memory."""

    async def look_nowhere(agenda: Agenda) -> None:
        agenda._looked_us = agenda._source.now_us()

    patch.setattr(Agenda, "_look", look_nowhere)


@mutant(orders)
def an_order_is_concluded_before_it_is_sent(patch: pytest.MonkeyPatch) -> None:
    """A submission ends after its command took effect; here it ends before, and a crash loses the command."""
    attempt = SubmissionRunner._attempt

    async def conclude_and_send(runner: SubmissionRunner, key: IntentKey, intent: Intent, index: int) -> Any:
        await runner.report(key, intent.flow_id, runner.outcome(key, index, None))
        return await attempt(runner, key, intent, index)

    patch.setattr(SubmissionRunner, "offer", lambda *_: None)
    patch.setattr(SubmissionRunner, "_attempt", conclude_and_send)


@mutant(guessed_ids)
def a_caller_can_choose_the_id_of_a_step(patch: pytest.MonkeyPatch) -> None:
    """Derived ids begin with a mark that callers may not use; here anyone can guess them."""
    patch.setattr("actorium.sagas.model.intents.derived_id", lambda cause: cause)


@mutant(guessed_ids)
def a_long_id_is_cut_off(patch: pytest.MonkeyPatch) -> None:
    """A cause that is too long for an id is hashed; here it is truncated, and two steps of a saga have the same id."""
    patch.setattr("actorium.sagas.model.intents.bounded", lambda text: text[:500])


@mutant(transfers)
def a_saga_drops_the_headers_of_what_started_it(patch: pytest.MonkeyPatch) -> None:
    """A saga's commands have the headers of the event that started it; here they have none."""

    def without_headers(recorded: RecordedEvent[Event], event: StepIssued) -> Intent:
        return msgspec.structs.replace(issued_intent(recorded, event), headers={})

    patch.setattr(agenda, "issued_intent", without_headers)


@mutant(transfers)
def a_sagas_command_names_the_event_before_its_cause(patch: pytest.MonkeyPatch) -> None:
    """A saga's command names the event that recorded its step as its cause; here the one before that."""

    def caused_by_another(recorded: RecordedEvent[Event], event: StepIssued) -> Intent:
        before = event_id(recorded.stream, recorded.version - 1)
        return msgspec.structs.replace(issued_intent(recorded, event), causation_id=before)

    patch.setattr(agenda, "issued_intent", caused_by_another)
