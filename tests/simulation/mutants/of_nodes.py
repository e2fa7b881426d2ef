"""Mutants of what nodes of a cluster rely on: routing, leases, fencing, hand-over, and followers that run once."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
import pytest
from msgspec.structs import replace
from simulation.cluster.scenarios import accounts, cut_off, late_frames, refusals, restarts, transfers
from simulation.mutants.mutant import mutant

from actorium.runtime.cluster.directory import Directory
from actorium.runtime.cluster.handover import Handover
from actorium.runtime.cluster.remote import RemoteCommand, RemoteCommands
from actorium.runtime.cluster.routed_dispatcher import RoutedDispatcher
from actorium.runtime.cluster.serving import Serving, _Attempts
from actorium.runtime.cluster.shards import shard_of
from actorium.runtime.commands.answer_batch import Answer, DoubtfulAnswer
from actorium.runtime.log.log_reader import Slice
from actorium.runtime.messages.frames import AskMessage, Reply
from actorium.sagas.agenda.share_feeds import ShareFeed
from actorium.simulation.world.cluster_store import SimulatedClusterStore
from actorium.store.event_store import SaveCheckpoint, SaveFailure
from actorium.store.events import Event
from actorium.store.shared import Placement
from actorium.testing.models.cluster_model import ClusterModel


@mutant(cut_off)
def memory_is_trusted_without_a_lease(patch: pytest.MonkeyPatch) -> None:
    """A node reads and refuses from memory only while it has a lease; here always."""
    patch.setattr(SimulatedClusterStore, "holds_lease", property(lambda store: True))


@mutant(accounts)
def a_fenced_node_may_write(patch: pytest.MonkeyPatch) -> None:
    """The log refuses what a fenced node writes; here it takes it."""
    patch.setattr(ClusterModel, "_require_named", lambda model, writer: None)


@mutant(refusals)
def a_repeated_command_counts_as_fresh(patch: pytest.MonkeyPatch) -> None:
    """Only the first attempt at a command is fresh; here each of them is, and replaces none."""
    encoded = RemoteCommands._encoded

    def fresh(remote: RemoteCommands, command: RemoteCommand, replaced: int, left_s: float) -> bytes:
        if not replaced:
            return encoded(remote, command, replaced, left_s)
        envelope = command.envelope
        command.envelope = msgspec.structs.replace(envelope, fresh=True)
        try:
            return encoded(remote, command, 0, left_s)
        finally:
            command.envelope = envelope

    patch.setattr(RemoteCommands, "_encoded", fresh)


@mutant(accounts)
def a_node_serves_what_it_should_own_and_does_not_yet(patch: pytest.MonkeyPatch) -> None:
    """A node serves a shard once the placement names it; here as soon as it should be the owner."""

    def serves(directory: Directory, stream_type: str, id: str) -> bool:
        return directory._wanted()[shard_of(stream_type, id)] == directory.me

    patch.setattr(Directory, "serves", serves)


@mutant(accounts)
def a_node_takes_the_shards_of_a_node_that_lives(patch: pytest.MonkeyPatch) -> None:
    """A node waits until a shard is handed over to it; here it takes what it should own."""

    def taken(directory: Directory, followers: Iterable[str]) -> Placement | None:
        before, wanted = directory.placement, directory._wanted()
        mine = {shard for shard, owner in enumerate(before.shards) if wanted[shard] == directory.me != owner}
        if not mine:
            return None
        shards = tuple(directory.me if shard in mine else owner for shard, owner in enumerate(before.shards))
        return replace(before, version=before.version + 1, shards=shards)

    patch.setattr(Directory, "taken", taken)


@mutant(refusals)
def actors_outlive_the_hand_over_of_their_shard(patch: pytest.MonkeyPatch) -> None:
    """A node drops the actors of a shard before it hands it over; here it keeps them for when it comes back."""

    async def drain(handover: Handover, shards: Collection[int]) -> None:
        handover._directory.end(shards)

    patch.setattr(Handover, "drain", drain)


@mutant(accounts)
def a_placement_replaces_one_that_its_node_has_not_seen(patch: pytest.MonkeyPatch) -> None:
    """A placement is written only after the one that its node has read; here after any."""

    def place(model: ClusterModel, by: int, after: Placement) -> bool:
        model._require_named(by)
        model.current = replace(after, version=model.current.version + 1)
        return True

    patch.setattr(ClusterModel, "place", place)


@mutant(transfers)
def every_node_runs_every_follower(patch: pytest.MonkeyPatch) -> None:
    """A follower runs on the node that owns it, and the log refuses the checkpoints of others; here on all nodes."""

    async def save(
        model: ClusterModel, writer: int, checkpoints: Sequence[SaveCheckpoint]
    ) -> Mapping[int, SaveFailure]:
        model._require_named(writer)
        return await model.log.save(checkpoints)

    patch.setattr(ClusterModel, "save", save)
    patch.setattr(Directory, "follower_owner", lambda directory, name: directory.me)
    patch.setattr(Directory, "should_run", lambda directory, name: True)


@mutant(late_frames, since=2)
def an_attempt_may_arrive_after_a_later_one(patch: pytest.MonkeyPatch) -> None:
    """An attempt is not carried out after a later one of its command has arrived; here it is."""
    is_newest = _Attempts.is_newest

    def is_new(attempts: _Attempts, ask: AskMessage) -> bool:
        return is_newest(attempts, msgspec.structs.replace(ask, fresh=True))

    patch.setattr(_Attempts, "is_newest", is_new)


@mutant(late_frames, since=91)
def an_attempt_of_a_node_that_is_gone_is_carried_out(patch: pytest.MonkeyPatch) -> None:
    """What arrives from a node that is not a member is dropped in the end; here it is carried out."""
    carry_out = Serving._carry_out

    def in_any_case(serving: Serving, peer: int, ask: AskMessage, held_until: float) -> None:
        directory, members = serving._directory, serving._directory.members
        if peer not in members and not serving._may_hold(held_until):
            directory.members = {**members, peer: replace(members[directory.me], number=peer)}
        try:
            carry_out(serving, peer, ask, held_until)
        finally:
            directory.members = members

    patch.setattr(Serving, "_carry_out", in_any_case)


@mutant(late_frames, since=116)
def a_reply_to_a_replaced_attempt_counts(patch: pytest.MonkeyPatch) -> None:
    """Only the reply to the newest attempt counts; here that to any."""
    send, take = RemoteCommands._send, RemoteCommands.take
    sent: dict[RemoteCommands, dict[int, RemoteCommand]] = {}

    def send_and_remember(remote: RemoteCommands, command: RemoteCommand) -> None:
        send(remote, command)
        sent.setdefault(remote, {})[command.number] = command

    def take_any(remote: RemoteCommands, reply: Reply) -> None:
        command = sent.get(remote, {}).get(reply.number)
        if command is not None and id(command) in remote._open:
            remote._sent.setdefault(reply.number, command)
        take(remote, reply)

    patch.setattr(RemoteCommands, "_send", send_and_remember)
    patch.setattr(RemoteCommands, "take", take_any)


@mutant(late_frames, since=384)
def an_attempt_of_an_old_placement_is_carried_out(patch: pytest.MonkeyPatch) -> None:
    """A node carries out what was sent to it since it serves the shard; here also what was sent before."""
    carry_out = Serving._carry_out

    def whenever_sent(serving: Serving, peer: int, ask: AskMessage, held_until: float) -> None:
        epoch = serving._directory.placement.version
        carry_out(serving, peer, msgspec.structs.replace(ask, epoch=max(ask.epoch, epoch)), held_until)

    patch.setattr(Serving, "_carry_out", whenever_sent)


@mutant(refusals, since=123)
def a_refused_repeat_says_that_nothing_was_done(patch: pytest.MonkeyPatch) -> None:
    """If an earlier attempt may have taken effect, a refusal of a later one leaves that open; here it denies it."""
    patch.setattr(DoubtfulAnswer, "set_exception", Answer.set_exception)


@mutant(restarts)
def a_command_that_waits_is_delivered_after_the_hand_over(patch: pytest.MonkeyPatch) -> None:
    """A command that waits for room moves on when its shard is handed over; here it is delivered where it waits."""
    patch.setattr(RoutedDispatcher, "_require_served", lambda dispatcher, envelope: None)


@mutant(transfers)
def a_share_begins_where_its_new_owner_has_read_the_log(patch: pytest.MonkeyPatch) -> None:
    """A share goes on after what its former owner has saved; here its new owner leaves out what it read before."""
    after = ShareFeed.after

    async def later(feed: ShareFeed, position: int, classes: Collection[type[Event]] | None = None) -> Slice:
        return await after(feed, max(position, feed._given), classes)

    patch.setattr(ShareFeed, "after", later)
