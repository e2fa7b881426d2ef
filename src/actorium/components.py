"""`Components`: the parts of a runtime, created and listed in start order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from actorium.actors.commands import Command, command_type_of
from actorium.catalog import Catalog
from actorium.corrections.cases.correcting import Correctable, CorrectEvent
from actorium.corrections.cases.keeper import CaseKeeper
from actorium.corrections.cases.node_cases import NodeCases
from actorium.corrections.cases.services import CaseServices
from actorium.runtime.cluster.command_wire import CommandForm
from actorium.runtime.cluster.description import NodeDescription, hash_of_fields, reads_of
from actorium.runtime.cluster.followers import Followers
from actorium.runtime.cluster.node import ClusterNode
from actorium.runtime.cluster.routed_dispatcher import RoutedDispatcher
from actorium.runtime.component import BackgroundTask, Component
from actorium.runtime.engine import Engine
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.lifecycle import Assembly
from actorium.runtime.log.chain_keeper import ChainKeeper
from actorium.runtime.log.log_reader import LogReader
from actorium.runtime.log.log_watch import LogWatch
from actorium.runtime.processors.checkpoint import not_saved
from actorium.runtime.processors.dead_letters import SkipMarks
from actorium.runtime.projections.table_projection import checkpoint_name
from actorium.runtime.read_side import ReadSide
from actorium.runtime.services.events.feeds import ServiceFeeds
from actorium.runtime.services.link import ServiceLink
from actorium.runtime.services.service import Service
from actorium.runtime.settings import Settings
from actorium.runtime.statistics import Counters
from actorium.sagas.agenda.agenda_checkpoint import share_name
from actorium.sagas.execution.services import Send
from actorium.sagas.message_forms import command_forms
from actorium.sagas.saga_engine import SagaEngine
from actorium.sagas.schedules.runner import ScheduleRunner
from actorium.store.chain import CHAIN
from actorium.store.event_store import Head
from actorium.store.names import StoredEventType
from actorium.store.tables.shares import SHARES


class Components(NamedTuple):
    """The components that execute commands, that follow the log, and that follow it and send commands.

    node_cases: carries out cases on this node.
    watch: hears of the appends of other processes, in a runtime that only reads; the sagas do not run there.
    services: what leads to other services, and their events here.
    chain: what keeps the hash chain, in a runtime that is not a node of a cluster.
    """

    engine: Engine
    reads: ReadSide
    sagas: SagaEngine
    cases: CaseServices
    node_cases: NodeCases | None
    watch: LogWatch | None
    services: Sequence[Component]
    node: ClusterNode | None
    placed: Followers | None
    chain: Sequence[Component]
    schedules: ScheduleRunner

    def in_order(self) -> Assembly:
        """Return the start order; the stop order is the reverse.

        The cases of corrections say what the followers of the log skip, and which of them wait. The read side prepares
        its tables through the engine's writer. Sagas need everything that is recorded, so they wait for it before
        commands are accepted. What is new to the log saves by then where it begins: a crash after the first command
        must not let it begin later. On a node, that comes first, because other nodes can send it commands. Reactions
        and saga intents send commands, also to other services, so the link to those comes before them.
        """
        keeper = self.cases.keeper
        if self.watch is not None:
            return Assembly(self.engine, followers=[BackgroundTask(self.watch.run), keeper, self.reads], senders=[])
        if self.node is not None and self.placed is not None and self.node_cases is not None:
            followers = [self.node.first_starts, self.node, self.node_cases, self.reads, self.sagas]
            return Assembly(self.engine, followers=followers, senders=[*self.services, self.placed])
        senders = [*self.services, *self.reads.reactions, BackgroundTask(self.sagas.run), self.schedules]
        followers = [keeper, self.reads, self.sagas, *self.chain]
        return Assembly(self.engine, followers=followers, senders=senders)


def assembled(
    catalog: Catalog,
    environment: RuntimeEnvironment,
    head: Head,
    stored: Sequence[StoredEventType],
    counters: Counters,
    crashed: Callable[[BaseException], None],
    send: Send,
    accepts: Callable[[], bool] | None,
    link: ServiceLink | None,
    node: ClusterNode | None,
) -> Components:
    """Create the components of a runtime; the event loop is running and the store is open.

    head: the end of the log.
    stored: the shapes of the events in the log.
    counters: the counters for `statistics`, which is one of the environment's instruments.
    crashed: called with a bug of the runtime; ends it.
    send, accepts: passed to `SagaEngine`.
    link: leads to other services, if there are any.
    node: this node, if the runtime is part of a cluster; it has joined.
    """
    classes = (catalog.aggregates, catalog.own_aggregates)
    engine = Engine(*classes, environment, head, counters, crashed, is_node=node is not None)
    if node is not None:
        dispatcher = engine.dispatcher
        assert isinstance(dispatcher, RoutedDispatcher), "the engine of a node has a routed dispatcher"
        correctable = Correctable(catalog)
        forms: dict[type[Command], CommandForm] = {**command_forms(catalog.codec), CorrectEvent: correctable.form()}
        kinds, more = engine.kinds.values(), correctable.handlers.items()
        node.attach(dispatcher, engine.live, engine.log_tail, kinds, forms, stored, more)
    log_reader = LogReader(environment.store, catalog.codec, engine.log_tail)
    save = not_saved if environment.read_only else engine.checkpoints.save
    marks = SkipMarks()
    placed = None
    if node is not None:
        placed = node.followers = Followers(node, save)
    handlers = (catalog.projections, catalog.reactions, catalog.outlets)
    reads = ReadSide(*handlers, environment, log_reader, save, marks, placed)
    sagas = SagaEngine(catalog.saga_streams, catalog.aggregates, engine, reads, environment, send, accepts, link)
    keeper = CaseKeeper(environment.store, catalog.codec, stored, marks, reads.followers)
    cases, node_cases = _cases(catalog, environment, CaseServices(engine, reads, sagas, keeper), placed)
    watch = None
    if environment.read_only:
        watch = LogWatch(environment.store, engine.log_tail, environment.settings.poll_s)
    chain: list[Component] = []
    if environment.settings.hash_chain and not environment.read_only:
        chain_keeper = ChainKeeper(environment, reads.saving(CHAIN), engine.log_tail)
        reads.place_follower(chain_keeper)
        chain = [] if reads.is_on_nodes else [BackgroundTask(chain_keeper.run)]
    services: list[Component] = []
    if link is not None:
        feeds = ServiceFeeds(link.service, catalog.inbox_streams, engine.dispatcher, reads, environment)
        services = [link, feeds]
    schedules = ScheduleRunner(catalog.schedules, engine, sagas, environment, placed)
    return Components(engine, reads, sagas, cases, node_cases, watch, services, node, placed, chain, schedules)


def _cases(
    catalog: Catalog, environment: RuntimeEnvironment, services: CaseServices, placed: Followers | None
) -> tuple[CaseServices, NodeCases | None]:
    """Return what cases use, and what carries them out on a node of a cluster."""
    if placed is None:
        return services, None
    node_cases = NodeCases(catalog, environment, services)
    placed.before_taking(node_cases.know_cases)
    return node_cases.services, node_cases


def node_description(catalog: Catalog, service: Service | None, settings: Settings) -> NodeDescription:
    """Return what a runtime with these parts can do as a node."""
    aggregates = [*catalog.aggregates, *catalog.own_aggregates]
    commands = {
        f"{aggregate.__definition__.stream_type}/{command_type_of(command)}": hash_of_fields(command)
        for aggregate in aggregates
        for command in aggregate.__definition__.handlers
    }
    corrections = Correctable(catalog).handlers
    commands |= {f"{name}/{command_type_of(CorrectEvent)}": hash_of_fields(CorrectEvent) for name in corrections}
    followers = _followers(catalog, service, settings)
    return NodeDescription("", reads_of(catalog.codec.shapes), commands, frozenset(followers))


def _followers(catalog: Catalog, service: Service | None, settings: Settings) -> list[str]:
    """Return the names of the followers of the log that run on one node at a time."""
    projections = [one.__definition__ for one in catalog.projections]
    names = [checkpoint_name(one.name, one.version) for one in projections if one.has_tables]
    names += [f"reaction {one.name}" for one in catalog.reactions]
    names += [f"outlet {one.name}" for one in catalog.outlets]
    names += [f"schedule {one.name}" for one in catalog.schedules]
    names += [f"saga {one.__definition__.saga_type}" for one in catalog.sagas]
    if service is not None:
        names += [f"publish {service.name}"] if service.publishes else []
        names += [f"inbox {remote.name}" for remote in catalog.inbox_streams]
    names += [CHAIN] if settings.hash_chain else []
    return [*names, *map(share_name, range(SHARES))]
