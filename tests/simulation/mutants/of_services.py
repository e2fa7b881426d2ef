"""Mutants of what passes between services: repeated commands, void commands, streams and inboxes."""

import asyncio
from typing import Any

import msgspec
import pytest
from simulation.mutants.mutant import mutant
from simulation.services.namesakes import two_logs
from simulation.services.scenarios import commands, shop
from simulation.services.strained import strained

from actorium.errors import CommandConflict
from actorium.runtime.bus.buses.memory import MemoryBus
from actorium.runtime.commands.replies import Replies
from actorium.runtime.errors import CommandTimeout
from actorium.runtime.messages import asker as asker_module
from actorium.runtime.messages.asker import Asker
from actorium.runtime.messages.frames import AskMessage
from actorium.runtime.services import link, peer
from actorium.runtime.services.circuit import Circuit
from actorium.runtime.services.door import Door
from actorium.runtime.services.events.inbox import Inbox
from actorium.runtime.services.events.inbox_reader import InboxReader, InboxTail
from actorium.runtime.services.events.publisher import Publisher, _End
from actorium.runtime.services.namesakes import Namesakes
from actorium.runtime.services.peer import Peer
from actorium.runtime.services.rate_limit import RateLimit
from actorium.runtime.services.subjects import replies_to
from actorium.sagas.execution.command_runner import CommandRunner
from actorium.store.events import Event, RecordedEvent


@mutant(shop)
def a_repeated_remote_command_has_a_new_id(patch: pytest.MonkeyPatch) -> None:
    """A command is sent again under its id, so it takes effect once; here each copy has an id of its own."""
    repeat = Asker._repeat

    def repeat_as_new(asker: Asker, one: Any) -> None:
        one.ask = msgspec.structs.replace(one.ask, command_id=f"{one.ask.command_id}+")
        repeat(asker, one)

    patch.setattr(Asker, "_repeat", repeat_as_new)


@mutant(shop)
def a_failed_remote_command_may_still_take_effect(patch: pytest.MonkeyPatch) -> None:
    """A failed step's command is voided in the other service first; here only this service records the failure."""

    async def voided(runner: CommandRunner, key: object, report: object) -> bool:
        return True

    patch.setattr(CommandRunner, "_voided", voided)


@mutant(shop)
def a_remote_command_that_took_effect_counts_as_void(patch: pytest.MonkeyPatch) -> None:
    """If the command took effect before it was voided, the saga learns that; here it is told the opposite."""
    void = Peer.void

    async def always_void(peer: Peer, command_id: str, causation_id: str, timeout_s: float) -> bool:
        await void(peer, command_id, causation_id, timeout_s)
        return True

    patch.setattr(Peer, "void", always_void)


@mutant(shop)
def a_conflict_at_the_other_service_is_not_an_effect(patch: pytest.MonkeyPatch) -> None:
    """The answer to a void command is waited for; here a lost answer counts as void."""
    ask = Peer._ask

    async def ask_once(peer: Peer, message: Any) -> Any:
        try:
            return await ask(peer, message)
        except CommandConflict:
            raise
        except Exception:
            if message.type == "actorium.void":
                return None
            raise

    patch.setattr(Peer, "_ask", ask_once)


@mutant(shop)
def a_publisher_trusts_its_checkpoint(patch: pytest.MonkeyPatch) -> None:
    """The end of the stream says what is published; here the saved position does, which a crash leaves behind."""

    async def find_end(publisher: Publisher) -> _End:
        ends = await publisher._bus.ends(publisher._stream)
        position = publisher._checkpoint.position
        return _End(ends.last, await publisher._count_to(position), position)

    patch.setattr(Publisher, "_find_end", find_end)


@mutant(shop)
def an_entry_is_appended_wherever_the_stream_ends(patch: pytest.MonkeyPatch) -> None:
    """An entry is accepted only behind the one that its writer knows; here at any end, by a writer that remembers."""
    append, page = MemoryBus.append, Publisher.page

    async def append_anywhere(bus: MemoryBus, stream: str, data: bytes, *, after: int) -> int:
        return await append(bus, stream, data, after=len(bus._hub.streams.get(stream, ())))

    async def page_without_looking(publisher: Publisher, events: Any, position: int) -> None:
        before = publisher._end
        try:
            await page(publisher, events, position)
        finally:
            publisher._end = publisher._end or before

    patch.setattr(MemoryBus, "append", append_anywhere)
    patch.setattr(Publisher, "page", page_without_looking)


@mutant(shop)
def an_inbox_moves_on_before_the_event_is_recorded(patch: pytest.MonkeyPatch) -> None:
    """The number of an inbox passes an event once it is recorded; here as soon as it is delivered."""

    def begin(inbox: Inbox, recorded: RecordedEvent[Event], ended: Any) -> bool:
        if inbox._dispatcher.ask_nowait(inbox._envelope(recorded, fresh=False), lambda answer: None) is None:
            return False
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        asyncio.get_running_loop().call_soon(ended, done)
        return True

    patch.setattr(Inbox, "begin", begin)


@mutant(shop)
def an_inbox_does_not_wait_for_the_event_before(patch: pytest.MonkeyPatch) -> None:
    """An event is recorded behind the one before it or not at all; here wherever its stream is."""

    def begin(inbox: Inbox, recorded: RecordedEvent[Event], ended: Any) -> bool:
        return inbox._dispatcher.ask_nowait(inbox._envelope(recorded, fresh=False), ended) is not None

    patch.setattr(Inbox, "begin", begin)
    patch.setattr(Inbox, "may_overlap", lambda inbox, delivered: True)


@mutant(shop)
def an_inbox_records_an_event_again(patch: pytest.MonkeyPatch) -> None:
    """An event is recorded under an id that follows from its own; here under a new one each time."""
    envelope = Inbox._envelope

    def new_envelope(inbox: Inbox, recorded: RecordedEvent[Event], fresh: bool) -> Any:
        made = envelope(inbox, recorded, fresh)
        made.command_id = inbox._source.new_id()
        return made

    patch.setattr(Inbox, "_envelope", new_envelope)


@mutant(shop)
def an_inbox_begins_behind_the_next_entry(patch: pytest.MonkeyPatch) -> None:
    """After a restart, an inbox reads on from the first entry that holds something new; here from the one after it."""
    find = InboxReader._sequence_of

    async def sequence_of(reader: InboxReader, position: int) -> int:
        sequence = await find(reader, position)
        reader._at = (sequence, position)
        return sequence + 1 if position else sequence

    batch = InboxReader._batch

    def as_if_it_followed(reader: InboxReader, entry: Any) -> Any:
        read = batch(reader, entry)
        reached = reader._at[1]
        return msgspec.structs.replace(read, first=reached + 1) if read.first > reached + 1 else read

    patch.setattr(InboxReader, "_sequence_of", sequence_of)
    patch.setattr(InboxReader, "_batch", as_if_it_followed)


@mutant(shop)
def an_inbox_relies_on_hints(patch: pytest.MonkeyPatch) -> None:
    """A poll stands behind each message that says a stream has grown; here there is only the message."""
    moved = InboxTail.moved

    async def wait_for_a_hint(tail: InboxTail, waiting: asyncio.Future[bool], within_s: float) -> bool:
        return await moved(tail, waiting, 1e9)

    patch.setattr(InboxTail, "moved", wait_for_a_hint)


@mutant(commands, since=4)
def a_door_forgets_what_it_refused(patch: pytest.MonkeyPatch) -> None:
    """A later copy of a command without an effect gets the same reply; here it is carried out again."""
    remember = Door._remember

    def remember_what_is_under_way(door: Door, key: tuple[str, int], known: bytes | int) -> None:
        if isinstance(known, int):
            remember(door, key, known)

    patch.setattr(Door, "_remember", remember_what_is_under_way)


@mutant(commands, since=1)
def a_service_does_not_look_who_sends(patch: pytest.MonkeyPatch) -> None:
    """A command is accepted from the services named; here from all."""
    made = Door._envelope

    def envelope(door: Door, name: str, ask: AskMessage) -> Any:
        accepts = door._service.accepts
        door._service.accepts = dict.fromkeys(accepts)
        try:
            return made(door, name, ask)
        finally:
            door._service.accepts = accepts

    patch.setattr(Door, "_envelope", envelope)


@mutant(commands)
def a_rate_limit_gives_nothing_back(patch: pytest.MonkeyPatch) -> None:
    """A sender over its rate is let in again after a while; here never."""
    wait_s = RateLimit.wait_s

    def wait_for_ever(rate: RateLimit) -> float:
        rate._at = rate._time()
        return wait_s(rate)

    patch.setattr(RateLimit, "wait_s", wait_for_ever)


@mutant(commands, since=89)
def a_reply_to_one_copy_ends_them_all(patch: pytest.MonkeyPatch) -> None:
    """A reply without an effect ends a command if no later copy is under way; here in any case."""
    patch.setattr(asker_module, "_is_without_effect", lambda reply: False)


@mutant(commands, since=98)
def a_copy_that_reached_nobody_fails_its_command(patch: pytest.MonkeyPatch) -> None:
    """A command that was sent before may have taken effect, and waits on; here its last copy alone decides."""
    undelivered = Asker.undelivered

    def undelivered_at_once(asker: Asker, numbers: Any, error: Exception) -> None:
        for number in numbers:
            if (one := asker._asked.get(number)) is not None:
                one.sent = 1
                undelivered(asker, [number], error)

    patch.setattr(Asker, "undelivered", undelivered_at_once)


@mutant(commands)
def a_stopping_service_says_that_nothing_was_done(patch: pytest.MonkeyPatch) -> None:
    """A command that was sent may have taken effect when its sender stops; here its caller is told the opposite."""
    close = Asker.close

    def close_as_refused(asker: Asker, error: Exception) -> None:
        for one in asker._asked.values():
            if not one.future.done():
                one.future.set_exception(error)
        close(asker, error)

    patch.setattr(Asker, "close", close_as_refused)


@mutant(commands)
def a_caller_waits_as_long_as_it_takes(patch: pytest.MonkeyPatch) -> None:
    """A command without a reply ends with its timeout; here it is sent again until there is one."""
    due = Asker._due

    def due_again(asker: Asker, one: Any) -> None:
        one.until = max(one.until, asker._loop.time() + one.timeout_s)
        due(asker, one)

    patch.setattr(Asker, "_due", due_again)


@mutant(commands, since=31)
def a_command_whose_caller_left_keeps_its_room(patch: pytest.MonkeyPatch) -> None:
    """A command leaves the window when its caller leaves; here only when it is answered."""
    ask = Asker.ask

    async def ask_and_stay(asker: Asker, message: AskMessage) -> Any:
        try:
            return await ask(asker, message)
        except asyncio.CancelledError:
            asker.window.asks += 1
            raise

    patch.setattr(Asker, "ask", ask_and_stay)


@mutant(commands, since=2)
def a_reply_reaches_whichever_process_listens(patch: pytest.MonkeyPatch) -> None:
    """A reply goes to the process that asked; here also to the next one, which counts from 1 again."""
    for module in (link, peer):
        patch.setattr(module, "replies_to", lambda service, instance: replies_to(service, "any"))


@mutant(commands, since=59)
def an_open_circuit_stays_open(patch: pytest.MonkeyPatch) -> None:
    """An open circuit lets one command through after a while; here none."""
    require_closed = Circuit.require_closed

    def never_again(circuit: Circuit) -> None:
        circuit._is_trying = True
        require_closed(circuit)

    patch.setattr(Circuit, "require_closed", never_again)


@mutant(commands, since=117)
def an_answer_names_the_tail_of_the_log(patch: pytest.MonkeyPatch) -> None:
    """An answer without an effect names a position behind the state it rests on; here the end that memory knows."""

    async def find_no_end(replies: Replies) -> None:
        pass

    patch.setattr(Replies, "_find_end", find_no_end)


@mutant(strained, since=1)
def a_copy_is_carried_out_beside_the_first(patch: pytest.MonkeyPatch) -> None:
    """While a command is carried out, a copy of it only counts; here it is carried out, too."""
    take = Door._take

    def take_every_copy(door: Door, name: str, ask: AskMessage, reply_to: str) -> None:
        if isinstance(door._copies.get((reply_to, ask.number)), int):
            del door._copies[reply_to, ask.number]
        take(door, name, ask, reply_to)

    patch.setattr(Door, "_take", take_every_copy)


@mutant(strained, since=60)
def a_command_that_timed_out_keeps_its_place_at_the_door(patch: pytest.MonkeyPatch) -> None:
    """A command that was answered gives its place to the next; here not if the answer is a timeout."""
    done = Door._done

    def done_unless_late(
        door: Door, guest: Any, stream_type: str, ask: AskMessage, reply_to: str, outcome: Any
    ) -> None:
        done(door, guest, stream_type, ask, reply_to, outcome)
        guest.in_flight += isinstance(outcome, CommandTimeout)

    patch.setattr(Door, "_done", done_unless_late)


@mutant(strained, since=19)
def a_refusal_of_one_copy_counts_for_all(patch: pytest.MonkeyPatch) -> None:
    """A command counts as not done when every copy of it was refused; here when one was."""
    take = Asker.take

    def take_any(asker: Asker, reply: Any) -> bool:
        if (one := asker._asked.get(reply.number)) is not None:
            one.refused = (1 << one.sent) - 1
        return take(asker, reply)

    patch.setattr(Asker, "take", take_any)


@mutant(strained)
def a_trial_whose_caller_left_goes_on_for_ever(patch: pytest.MonkeyPatch) -> None:
    """If the caller of the one command leaves that an open circuit lets through, the next may try; here none may."""
    patch.setattr(Circuit, "left", lambda circuit: None)


@mutant(two_logs)
def a_later_log_under_one_name_takes_commands(patch: pytest.MonkeyPatch) -> None:
    """Of two logs under one service name, the later one takes no commands of others; here both do."""
    report = Namesakes._report

    async def report_only(names: Namesakes, instance: str, other: Any, mine: str) -> None:
        names._give_way = _nothing
        await report(names, instance, other, mine)

    async def _nothing() -> None:
        pass

    patch.setattr(Namesakes, "_report", report_only)


@mutant(two_logs)
def a_process_that_gave_way_answers_one_that_starts_again(patch: pytest.MonkeyPatch) -> None:
    """A process that gave way says no more, so the other can start again; here it answers, and neither takes any."""
    heard = Namesakes.heard

    def heard_in_any_case(names: Namesakes, instance: str, meeting: Any) -> None:
        gives_way, names.gives_way = names.gives_way, False
        heard(names, instance, meeting)
        names.gives_way = gives_way

    patch.setattr(Namesakes, "heard", heard_in_any_case)
