"""`Engine`: all parts between `send` and the log, and the `ActorHost` that its actors use.

A command flows through it in one direction: dispatcher → mailbox → scheduler → actor → writer → replies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import anyio.abc

from actorium.actors.actor import Actor
from actorium.actors.aggregate import Aggregate
from actorium.actors.envelope import Envelope
from actorium.actors.hydration import Hydrator
from actorium.actors.kind import ActorKind
from actorium.actors.pending import PendingAppend
from actorium.runtime.cluster.routed_dispatcher import ObservedRoutedDispatcher, RoutedDispatcher
from actorium.runtime.commands.deadlines import Deadlines
from actorium.runtime.commands.dispatcher import Dispatcher, Handlers, time_out
from actorium.runtime.commands.known_ids import KnownIds
from actorium.runtime.commands.live_actors import LiveActors
from actorium.runtime.commands.observed import (
    CommandObserver,
    ObservedDispatcher,
    ObservedHydrator,
    ObservedReplies,
    ObservedStore,
)
from actorium.runtime.commands.read_only import ReadOnlyDispatcher
from actorium.runtime.commands.replies import Replies
from actorium.runtime.commands.scheduler import Scheduler
from actorium.runtime.commands.snapshot_writer import SnapshotWriter
from actorium.runtime.commands.supervision import Supervisor
from actorium.runtime.component import Component
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.instrument import Tell
from actorium.runtime.log.log_tail import LogTail
from actorium.runtime.statistics import Counters, RuntimeStatistics
from actorium.store.errors import ActoriumError, CommitUnknown, ConfigurationError
from actorium.store.event_store import Head, Snapshot
from actorium.store.log import logger
from actorium.store.names import CommandRecord
from actorium.store.personal.keyed_appends import KeyedAppends
from actorium.store.writers.checkpoint_writer import CheckpointWriter
from actorium.store.writers.group_commit_writer import AppendsBatches, GroupCommitWriter

log = logger("actorium.runtime")


class Engine(Component):
    """Accepts commands, lets actors decide them, and writes their events.

    aggregates: the classes whose commands callers send.
    own_aggregates: the runtime's own classes, such as the streams of sagas; callers do not send their commands.
    head: the end of the log when the engine starts.
    counters: the instrument for those counters of `statistics` that no other part counts.
    crashed: called with a bug in the engine, which must end the runtime.
    is_node: it is part of a cluster, and commands may belong to other nodes.
    """

    def __init__(
        self,
        aggregates: Sequence[type[Aggregate]],
        own_aggregates: Sequence[type[Aggregate]],
        environment: RuntimeEnvironment,
        head: Head,
        counters: Counters,
        crashed: Callable[[BaseException], None],
        is_node: bool = False,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        store, settings, source = environment.store, environment.settings, environment.source
        codec, instruments = environment.codec, environment.instruments
        self._counters = counters
        self.deadlines = Deadlines(loop, time_out)
        self.log_tail = LogTail(max_events=settings.tail_events, max_bytes=settings.tail_bytes)
        self.log_tail.open_at(head)
        self.supervisor = Supervisor(
            source, backoff_s=settings.hydration_backoff_s, backoff_max_s=settings.hydration_backoff_max_s
        )
        recovered = self.supervisor.recovered
        self.live = LiveActors(settings.passivation, _also_told(recovered, instruments.teller("actor_passivated")))
        self.kinds: dict[type[Aggregate], ActorKind[Actor]] = {
            aggregate: ActorKind(
                aggregate.__definition__,
                codec,
                self,
                max_payload_bytes=settings.max_payload_bytes,
                development=settings.development,
                encrypt=None if environment.keys is None else environment.keys.encrypt,
            )
            for aggregate in (*aggregates, *own_aggregates)
        }
        self._observer = CommandObserver.of(instruments, loop)
        handlers = _handlers(self.kinds[aggregate] for aggregate in aggregates)
        self.dispatcher = self._dispatcher(handlers, environment, is_node)
        self.admission = self.dispatcher.admission
        self.scheduler = Scheduler(
            loop, self.admission, crashed, self.dispatcher.ready, turn_budget=settings.turn_budget
        )
        hydrated = instruments.teller("actor_hydrated")
        self.hydrator = (
            Hydrator(store, self._hydration_failed, recovered)
            if hydrated is None
            else ObservedHydrator(store, self._hydration_failed, recovered, tell=hydrated, time=loop.time)
        )
        self.known_ids = KnownIds(store)
        answers = self.dispatcher.answers
        answered = (store, codec, self.admission, self.log_tail, self.deadlines, answers, self.known_ids)
        observer = self._observer
        self.replies = Replies(*answered) if observer is None else ObservedReplies(*answered, observer=observer)
        committed = instruments.teller("batch_committed")
        appends: AppendsBatches = store if environment.keys is None else KeyedAppends(store, environment.keys)
        self.writer: GroupCommitWriter[PendingAppend[Actor]] = GroupCommitWriter(
            appends if committed is None else ObservedStore(appends, committed, loop),
            source,
            self.replies.committed,
            self.dispatcher.answers.hand_over,
            self.log_tail.wake,
            max_batch_events=settings.max_batch_events,
            max_batch_bytes=settings.max_batch_bytes,
        )
        self.checkpoints = CheckpointWriter(store)
        self.snapshots = SnapshotWriter(self.writer.save, max_bytes=settings.max_snapshot_bytes)
        self._bind()

    def _bind(self) -> None:
        """Bind the host's methods that actors call directly to those that do the work: hot path."""
        self.enqueue: Callable[[PendingAppend[Actor]], None] = self.writer.enqueue
        self.withdraw: Callable[[PendingAppend[Actor]], None] = self.writer.withdraw
        self.is_in_flight: Callable[[PendingAppend[Actor]], bool] = self.writer.is_in_flight
        self.hydrate: Callable[[Actor], None] = self.hydrator.request
        self.make_ready: Callable[[Actor], None] = self.scheduler.make_ready
        self.turn_now: Callable[[Actor], None] = self.scheduler.turn_now
        self.save_snapshot: Callable[[Snapshot], None] = self.snapshots.save
        self.acknowledge: Callable[[PendingAppend[Actor], int], None] = self.replies.acknowledge
        self.answer: Callable[[Envelope, Any], None] = self.replies.answer
        self.answer_unwritten: Callable[[Envelope, Any], None] = self.replies.answer_unwritten
        self.answer_duplicate: Callable[[Envelope, CommandRecord], None] = self.replies.answer_duplicate
        self.look_up_ids: Callable[[Actor], bool] = self.known_ids.look_up

    def _dispatcher(self, handlers: Handlers, environment: RuntimeEnvironment, is_node: bool) -> Dispatcher:
        wanted = (
            {kind.type: kind for kind in self.kinds.values()},
            handlers,
            self.deadlines,
            self.live,
            self.supervisor,
            environment.source,
            environment.settings,
        )
        if environment.read_only:
            return ReadOnlyDispatcher(*wanted, store=environment.store)
        if self._observer is None:
            return RoutedDispatcher(*wanted) if is_node else Dispatcher(*wanted)
        observed = ObservedRoutedDispatcher if is_node else ObservedDispatcher
        return observed(*wanted, observer=self._observer)

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start the writers, hydration, look-ups of command ids, and passivation."""
        tasks.start_soon(self.writer.run)
        tasks.start_soon(self.checkpoints.run)
        tasks.start_soon(self.hydrator.run)
        tasks.start_soon(self.replies.run)
        tasks.start_soon(self.known_ids.run)
        tasks.start_soon(self.live.run)

    async def stop(self) -> None:
        """Wait until every accepted command is answered and every event is written."""
        await self.admission.idle()
        await self.writer.drained()
        await self.checkpoints.drained()

    def kind_of(self, aggregate: type[Aggregate]) -> ActorKind[Actor]:
        """Return the kind of a registered aggregate class; raise ConfigurationError for any other."""
        kind = self.kinds.get(aggregate)
        if kind is None:
            raise ConfigurationError(f"{aggregate!r} is not an aggregate of this runtime")
        return kind

    def _hydration_failed(self, actor: Actor, error: ActoriumError) -> None:
        dispatcher = self.dispatcher
        if not (isinstance(dispatcher, RoutedDispatcher) and dispatcher.sends_on(actor, error)):
            self.supervisor.hydration_failed(actor, error, self._loop.time())
        self.admission.mail_taken(actor)

    def fail_everything(self, error: ActoriumError) -> None:
        """Answer every pending command with an error, because the runtime ends without deciding it.

        A command whose events were passed to the store gets CommitUnknown: it may be in the log.
        """
        self.admission.close(error)
        if isinstance(self.dispatcher, RoutedDispatcher):
            self.dispatcher.fail_remote(error)
        unknown = CommitUnknown(f"{error}; it is not known whether the commit in flight is in the log")
        unknown.__cause__ = error
        for actor in self.live:
            for request in actor.pending or ():
                self.replies.answer(request.envelope, unknown if self.is_in_flight(request) else error)
                for envelope, _ in request.followers or ():
                    self.replies.answer(envelope, error)
            for envelope in actor.mailbox or ():
                self.replies.answer(envelope, error)
            actor.pending = actor.mailbox = None
        self.replies.fail_questions(error)
        self.deadlines.close()
        self.log_tail.close()
        if self._observer is not None:
            self._observer.flush()

    def statistics(self) -> RuntimeStatistics:
        """Return the counters of all parts."""
        replies = self.replies
        return RuntimeStatistics(
            acknowledged=replies.acknowledged,
            rejected=replies.rejected,
            failed=replies.failed,
            duplicates=replies.duplicates,
            dropped=replies.dropped,
            in_flight=self.admission.in_flight,
            waiting_for_room=self.admission.waiting,
            expected_wait_s=self.admission.expected_wait_s,
            refused=self.admission.refused,
            live_actors=len(self.live),
            ready_actors=len(self.scheduler),
            failed_actors=len(self.supervisor),
            hydrations=self.hydrator.hydrations,
            passivations=self.live.passivations,
            snapshots=self.snapshots.saved,
            snapshots_skipped=self.snapshots.skipped,
            stuck_sagas=self._counters.stuck_sagas,
            late_sagas=self._counters.late_sagas,
            position=self.log_tail.position,
            writer=self.writer.statistics(),
        )


def _handlers(kinds: Iterable[ActorKind[Actor]]) -> Handlers:
    return {command: (kind, handler) for kind in kinds for command, handler in kind.handlers.items()}


def _also_told(call: Callable[[Actor], None], tell: Tell | None) -> Callable[[Actor], None]:
    """Return a function that makes a call and then reports its actor to the instruments."""
    if tell is None:
        return call

    def both(actor: Actor) -> None:
        call(actor)
        tell(actor.kind.type, actor.id, actor.version)

    return both
