"""`ClusterNode`: the life of one node, from joining the log to leaving it.

It renews the lease, fences nodes that are gone, takes the shards that it should have and hands over those that it
should not, and connects the dispatcher with the wire.

Invariants, true between any two awaits:
- a shard is drained before the placement gives it to another node, and served again only after the placement was read;
- renewals do not wait for a hand-over;
- a node that was fenced does nothing any more: its runtime ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping

import anyio
import anyio.abc
from msgspec.structs import replace

from actorium.actors.actor import Actor
from actorium.actors.commands import Command, CommandHandler
from actorium.actors.kind import ActorKind
from actorium.runtime.cluster.bus_wire import BusWire
from actorium.runtime.cluster.cluster import Cluster, bus_of
from actorium.runtime.cluster.command_wire import CommandForm, CommandWire
from actorium.runtime.cluster.description import NodeDescription
from actorium.runtime.cluster.directory import Directory
from actorium.runtime.cluster.followers import FirstStarts, Followers
from actorium.runtime.cluster.frame_senders import FrameSenders
from actorium.runtime.cluster.handover import SHARDS_AT_ONCE, Handover
from actorium.runtime.cluster.newer_code import NewerCode
from actorium.runtime.cluster.remote import RemoteCommands
from actorium.runtime.cluster.routed_dispatcher import RoutedDispatcher
from actorium.runtime.cluster.serving import Serving
from actorium.runtime.cluster.wire import StoreWire, Wire
from actorium.runtime.commands.live_actors import LiveActors
from actorium.runtime.component import Component
from actorium.runtime.environment import RuntimeEnvironment
from actorium.runtime.log.history import latest_state
from actorium.runtime.log.log_tail import LogTail
from actorium.runtime.messages.frames import MovedMessage, encode_message
from actorium.runtime.waits import end, ended
from actorium.store.errors import ConfigurationError, Fenced, Transient
from actorium.store.log import logger
from actorium.store.names import StoredEventType
from actorium.store.raised import error_text
from actorium.store.shared import ClusterStore, Members, Placement

log = logger("actorium.runtime")

_RENEWALS_PER_LEASE = 4
_LOOK_AGAIN_S = 0.1
_LOOK_PAUSE_S = 0.02
# Each look at the end of the log costs a node as much as ten commands, and the others may tell of a hundred a second.
_UNWATCHED_S = 0.1
# A connection that broke comes back within a look; only a process that ended stays away for two.
_LOOKS_WITHOUT_SESSION = 2
# An answer holds the events of a command with their metadata; the rest are names and numbers.
_MESSAGE_OVERHEAD_BYTES = 65_536


class ClusterNode(Component):
    """One node of a cluster.

    cluster: its settings.
    environment: shared by the components of its runtime; the store must be one that nodes can share.
    described: what its code can do, for the other nodes.

    Raises ConfigurationError if the store is for one process.
    """

    def __init__(self, cluster: Cluster, environment: RuntimeEnvironment, described: NodeDescription) -> None:
        if not isinstance(cluster, Cluster):
            raise ConfigurationError(f"Runtime(cluster={cluster!r}): must be a Cluster, such as Cluster(node='a')")
        store = environment.store
        if not isinstance(store, ClusterStore):
            raise ConfigurationError(
                f"cluster={cluster!r}: the store {store.describe()} is for one process; nodes share a log in "
                'PostgreSQL: store="postgresql://host/database"'
            )
        self._cluster = cluster
        self._store: ClusterStore = store
        self._environment = environment
        self.directory = Directory()
        self.first_starts = FirstStarts(store, self.directory)
        self._message_bytes_max = 2 * environment.settings.max_payload_bytes + _MESSAGE_OVERHEAD_BYTES
        self._bus = bus_of(cluster)
        self._address = environment.source.new_id() if self._bus is not None else ""
        self.described = replace(described, wire=self._address)
        self._wire: Wire = StoreWire(store)
        self.followers: Followers | None = None
        self._is_leaving = self._must_renew = self.is_fenced = False
        self.looks_without_session: dict[int, int] = {}
        self._wake: asyncio.Future[bool] | None = None
        self._has_work = False
        self._drained: set[int] = set()  # being handed over: not to be served
        self._handing_over = asyncio.Event()
        self._has_handed_over = asyncio.Event()

    async def join(self) -> None:
        """Open the store as this node; raise the errors of `ClusterStore.join`."""
        number = await self._store.join(self._cluster.node, self._cluster.code, self.described.encode())
        self.directory.joined(number, self.described)
        self._staying = asyncio.get_running_loop().create_task(self._stay())
        root = asyncio.current_task()
        assert root is not None, "a runtime starts in a task, with which all of it ends"
        root.add_done_callback(lambda _: self._staying.cancel())
        if self._bus is not None:
            name, addresses = self._cluster.node, self.directory.addresses
            self._wire = BusWire(self._bus, name, self._address, addresses, self._wire)

    def attach(
        self,
        dispatcher: RoutedDispatcher,
        live: LiveActors,
        log_tail: LogTail,
        kinds: Iterable[ActorKind[Actor]],
        forms: Mapping[type[Command], CommandForm],
        stored: Iterable[StoredEventType],
        corrections: Iterable[tuple[str, CommandHandler]],
    ) -> None:
        """Connect the parts of this runtime's engine, before it accepts commands.

        stored: the shapes of the events that were in the log at the start.
        corrections: what corrects wrong events, by type of stream.
        """
        codec, settings = self._environment.codec, self._environment.settings
        self.newer_code = NewerCode(self._cluster.node, self.directory, codec, stored, self._handing_over.set)
        self._dispatcher, self._log_tail = dispatcher, log_tail
        frame_bytes_max = self._message_bytes_max + _MESSAGE_OVERHEAD_BYTES
        self._senders = FrameSenders(self.directory, self._wire, frame_bytes_max=frame_bytes_max)
        wire = CommandWire(kinds, forms, corrections)
        self._remote = RemoteCommands(
            self.directory,
            wire,
            codec,
            dispatcher.come_home,
            self._senders.send,
            self.look,
            self._wire.doubt,
            usual_s=settings.default_timeout_s,
            message_bytes_max=self._message_bytes_max,
        )
        dispatcher.directory, dispatcher.remote = self.directory, self._remote
        dispatcher.give_away, dispatcher.newer_code_needed = self.newer_code.read_elsewhere, self.newer_code.needed
        dispatcher.fold = lambda kind, id: latest_state(self._store, kind, id)
        self._serving = Serving(
            self.directory,
            dispatcher,
            self._remote,
            wire,
            self._senders.send,
            self.look,
            self._wire.doubt,
            self.newer_code.give_away,
            self._renew_soon,
            message_bytes_max=self._message_bytes_max,
        )
        self._handover = Handover(self.directory, live)

    # --- phases ---------------------------------------------------------------------------------------------------

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Take what this node should have, as far as it is free, and begin to serve."""
        tasks.start_soon(self._senders.close_at_end)
        await self._wire.open(self.directory.me, self._serving.take, self._remote.repeat)
        self._staying.cancel()
        await asyncio.wait((self._staying,))
        await self._renew()
        await self._arrange()
        self._hint()
        for run in (self._run, self._watch, self._hand_over_when_needed, self._remote.run, self._serving.run):
            tasks.start_soon(run)
        tasks.start_soon(self._senders.run, tasks)
        log.info("node_joined", node=self._cluster.node, number=self.directory.me, nodes=len(self.directory.members))

    async def stop(self) -> None:
        """Hand over all shards, once the commands that this node has sent are answered."""
        await self._remote.drained()
        await self.leave()
        await self._has_handed_over.wait()
        if self.is_fenced:
            return
        # What nobody takes is free when this node has left.
        await self._handover.drain(self.directory.served)
        await self._senders.sent()
        log.info("node_left", node=self._cluster.node, number=self.directory.me)

    async def leave(self) -> None:
        """Tell the other nodes that this one is stopping."""
        self._is_leaving = True
        self._renew_soon()
        while not (self.directory.is_leaving or self.is_fenced):  # noqa: ASYNC110  # a renewal tells
            await asyncio.sleep(_LOOK_PAUSE_S)

    # --- the lease ------------------------------------------------------------------------------------------------

    async def _stay(self) -> None:
        """Renew the lease while this node starts, until fenced or cancelled: the others give it nothing yet."""
        while True:
            await asyncio.sleep(self._store.lease_s / _RENEWALS_PER_LEASE)
            try:
                await self._store.renew(is_passive=True)
            except Fenced:
                return
            except Transient as error:
                log.warning("lease_not_renewed", node=self._cluster.node, error=error_text(error))

    async def _run(self) -> None:
        """Renew the lease, and look at the placement when something asks for it, until fenced or cancelled."""
        usual_s = self._store.lease_s / _RENEWALS_PER_LEASE
        loop = asyncio.get_running_loop()
        renew_at = loop.time() + usual_s
        logged: set[type[BaseException]] = set()
        while True:
            if not self._has_work:
                self._wake = loop.create_future()
                await ended(self._wake, max(0.0, renew_at - loop.time()))
            must_renew, self._has_work, self._must_renew = self._must_renew, False, False
            try:
                if must_renew or loop.time() >= renew_at:
                    await self._renew()
                    renew_at = loop.time() + usual_s
                await self._arrange()
                logged.clear()
            except Fenced:
                self._was_fenced()
                return
            except Transient as error:
                if type(error) not in logged:
                    logged.add(type(error))
                    log.warning("lease_not_renewed", node=self._cluster.node, error=error_text(error))
                renew_at = min(renew_at, loop.time() + _LOOK_AGAIN_S)
            await asyncio.sleep(_LOOK_PAUSE_S)

    def _was_fenced(self) -> None:
        """Wait for nothing any more: the runtime ends, see `SharedStore.until_lost`."""
        self.is_fenced = True
        self._has_handed_over.set()
        if self.followers is not None:
            self.followers.look()

    async def _renew(self) -> None:
        members = await self._store.renew(is_passive=self._is_leaving)
        self.directory.saw(members)
        if await self._fence_gone(members):
            self.directory.saw(await self._store.renew(is_passive=self._is_leaving))
        self._senders.forget_gone()

    async def _fence_gone(self, members: Members) -> bool:
        """Fence the nodes that are gone; return whether there were any."""
        missed, self.looks_without_session = self.looks_without_session, {}
        has_fenced = False
        for one in members.nodes:
            if one.number == self.directory.me:
                continue
            looks = 0 if one.has_session else missed.get(one.number, 0) + 1
            if not one.has_lease or looks >= _LOOKS_WITHOUT_SESSION:
                if await self._store.fence(one.number):
                    log.warning("node_lost", node=one.name, number=one.number, had_session=one.has_session)
                has_fenced = True
            elif looks:
                self.looks_without_session[one.number] = looks
                asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._renew_soon)
        return has_fenced

    def _renew_soon(self) -> None:
        self._must_renew = True
        self.look()

    def look(self) -> None:
        """Look at the placement soon."""
        self._has_work = True
        end(self._wake)

    # --- the placement --------------------------------------------------------------------------------------------

    async def _arrange(self) -> None:
        """Read the placement, take what this node should have, and let what it should not have be handed over."""
        directory = self.directory
        directory.read(await self._store.placement())
        while not directory.knows_owners:
            await self._renew()
        taken = directory.taken(self.followers.names if self.followers is not None else ())
        if taken is not None and await self._placed(taken):
            log.info("shards_taken", node=self._cluster.node, number=directory.me, version=taken.version)
        await self._serve(shard for shard in directory.unserved if shard not in self._drained)
        if self._is_leaving or directory.misplaced():
            self._handing_over.set()

    async def _placed(self, placement: Placement) -> bool:
        """Write a placement, or read the one that another node has written meanwhile."""
        if await self._store.place(placement):
            self.directory.read(placement)
            self._hint()
            return True
        self.directory.read(await self._store.placement())
        self.look()
        return False

    async def _serve(self, shards: Iterable[int]) -> None:
        """Serve shards of this node, once everything is known that their former owners wrote."""
        wanted = [*shards]
        if wanted:
            self._log_tail.grew_to(await self._store.head())
            mine = self.directory.placement.shards
            self.directory.begin(one for one in wanted if mine[one] == self.directory.me and one not in self._drained)

    async def _hand_over_when_needed(self) -> None:
        """Hand over the shards that other nodes should have, some at a time, until fenced or cancelled."""
        while True:
            await self._handing_over.wait()
            self._handing_over.clear()
            while not self.is_fenced and (misplaced := sorted(self.directory.misplaced())):
                await self._hand_over(misplaced[:SHARDS_AT_ONCE])
            if self.directory.is_leaving:
                self._has_handed_over.set()

    async def _hand_over(self, shards: Collection[int]) -> None:
        directory = self.directory
        self._drained.update(shards)
        await self._handover.drain(shards)
        while True:
            try:
                given = {shard: owner for shard, owner in directory.misplaced().items() if shard in self._drained}
                if given:
                    await self._store.pass_on(given)
                    directory.read(await self._store.placement())
                    self._hint()
                break
            except Fenced:
                self._was_fenced()
                return
            except Transient as error:
                log.warning("handover_waits", node=self._cluster.node, shards=len(shards), error=error_text(error))
                await asyncio.sleep(_LOOK_AGAIN_S)
                await self._read_again()
        self._drained.clear()
        self.look()  # some may be this node's again

    async def _read_again(self) -> None:
        try:
            self.directory.read(await self._store.placement())
        except Transient as error:
            log.warning("placement_not_read", node=self._cluster.node, error=error_text(error))

    async def release(self, followers: Collection[str]) -> None:
        """Give up followers; return once the placement says so, or this node was fenced."""
        while mine := [one for one in followers if self.directory.follower_owner(one) == self.directory.me]:
            try:
                if await self._placed(self.directory.released(mine)):
                    return
            except Fenced:
                return
            except Transient as error:
                log.warning("release_waits", node=self._cluster.node, followers=mine, error=error_text(error))
                await asyncio.sleep(_LOOK_AGAIN_S)
                await self._read_again()

    async def know_log(self) -> None:
        """Learn the end of the log, however long that takes."""
        while True:
            try:
                self._log_tail.grew_to(await self._store.head())
                return
            except Fenced:
                return
            except Transient as error:
                log.warning("log_not_read", node=self._cluster.node, error=error_text(error))
                await asyncio.sleep(_LOOK_AGAIN_S)

    # --- the log --------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Learn of the events that other nodes write, until cancelled."""
        log_tail, poll_s = self._log_tail, self._environment.settings.poll_s
        logged: set[type[BaseException]] = set()
        while True:
            try:
                log_tail.grew_to(await self._store.watch(log_tail.position, poll_s))
                logged.clear()
                if not log_tail.is_awaited:
                    await asyncio.sleep(_UNWATCHED_S)
            except Fenced:
                return
            except Transient as error:
                if type(error) not in logged:
                    logged.add(type(error))
                    log.warning("log_not_watched", node=self._cluster.node, error=error_text(error))
                await asyncio.sleep(_LOOK_AGAIN_S)

    # --- the other nodes ----------------------------------------------------------------------------------------------

    def _hint(self) -> None:
        """Tell the other nodes that the placement has changed; they would find out at their next renewal."""
        hint = encode_message(MovedMessage(0))
        for node in self.directory.members:
            if node != self.directory.me:
                self._senders.send(node, hint)
