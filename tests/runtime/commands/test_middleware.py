"""Middleware, metadata and correlation of commands."""

import asyncio
from typing import Any

import msgspec
import pytest
from support.bank import Add, Reveal, Tally
from support.stores import FaultyStore, whole_log
from support.virtual_time import virtual

from actorium import Ack, CommandContext, ConfigurationError, Event, Middleware, Next, RecordedEvent, Rejected, Runtime
from actorium.store.errors import InvalidCommand, Transient
from actorium.types import Metadata


async def log_of(runtime: Runtime, count: int) -> list[RecordedEvent[Event]]:
    events = runtime.events()
    return [await anext(events) for _ in range(count)]


def noting(notes: list[str], name: str) -> Middleware:
    async def layer(context: CommandContext, following: Next) -> Ack:
        notes.append(f"{name} in")
        try:
            return await following(context)
        finally:
            notes.append(f"{name} out")

    return layer


@virtual
async def test_the_first_middleware_is_outermost_and_runs_once_per_command() -> None:
    notes: list[str] = []
    async with Runtime([Tally], store="memory://", middleware=[noting(notes, "a"), noting(notes, "b")]) as runtime:
        await runtime.send(Add("t"))
        assert notes == ["a in", "b in", "b out", "a out"]
        with pytest.raises(Rejected):
            await runtime.send(Add("t", needs=50))
        assert notes == ["a in", "b in", "b out", "a out"] * 2


@virtual
async def test_middleware_that_raises_keeps_the_command_from_its_mailbox() -> None:
    async def guard(context: CommandContext, following: Next) -> Ack:
        if "user" not in context.headers:
            raise Rejected("who are you?")
        return await following(context)

    async with Runtime([Tally], store="memory://", middleware=[guard]) as runtime:
        with pytest.raises(Rejected, match="who are you"):
            await runtime.send(Add("t"))
        assert runtime.statistics().live_actors == 0
        assert (await runtime.send(Add("t"), headers={"user": "me"})).version == 1


@virtual
async def test_middleware_may_reply_itself() -> None:
    async def cached(context: CommandContext, following: Next) -> Ack:
        return Ack(context.command.to, 99, 99, (), context.command_id)

    async with Runtime([Tally], store="memory://", middleware=[cached]) as runtime:
        assert (await runtime.send(Add("t"))).version == 99
        assert runtime.statistics().live_actors == 0


@virtual
async def test_headers_added_by_middleware_are_stored_with_these_events_only() -> None:
    async def stamp(context: CommandContext, following: Next) -> Ack:
        if context.command.to == "stamped":
            context.headers["stamp"] = "yes"
        return await following(context)

    async with Runtime([Tally], store="memory://", middleware=[stamp]) as runtime:
        await runtime.send(Add("stamped"))
        await runtime.send(Add("plain"))
        recorded = await log_of(runtime, 2)
        assert [dict(one.metadata.headers) for one in recorded] == [{"stamp": "yes"}, {}]


@virtual
async def test_headers_added_by_middleware_are_checked() -> None:
    async def stamp(context: CommandContext, following: Next) -> Ack:
        context.headers["stamp"] = 7  # type: ignore[assignment]
        return await following(context)

    async with Runtime([Tally], store="memory://", middleware=[stamp]) as runtime:
        with pytest.raises(InvalidCommand, match="stamp"):
            await runtime.send(Add("t"))
        assert runtime.statistics().position == 0


@virtual
async def test_middleware_may_retry_and_the_command_takes_effect_once() -> None:
    async def insistent(context: CommandContext, following: Next) -> Ack:
        for _ in range(5):
            try:
                return await following(context)
            except Transient:
                await asyncio.sleep(1.0)
        raise AssertionError

    store = FaultyStore()
    async with Runtime([Tally], store=store, middleware=[insistent]) as runtime:
        store.faults.extend(["before", "after"])
        ack = await runtime.send(Add("t", 5))
        assert ack.duplicate
        assert (await runtime.get(Tally, "t")).total == 5
        store.faults.extend(["after"])
        assert (await runtime.send(Add("t", 5, needs=0))).version == 2
        assert len(await whole_log(store.inner)) == 2


@virtual
async def test_a_tell_that_middleware_retries_takes_effect_once() -> None:
    async def twice(context: CommandContext, following: Next) -> Ack:
        await following(context)
        return await following(context)

    async with Runtime([Tally], store="memory://", middleware=[twice]) as runtime:
        await runtime.tell(Add("t", 5))
        assert (await runtime.get(Tally, "t")).total == 5
        assert runtime.statistics().duplicates == 1


@virtual
async def test_middleware_sees_all_arguments_of_the_sender() -> None:
    seen: list[Any] = []

    async def look(context: CommandContext, following: Next) -> Ack:
        seen.extend((context.command, context.command_id, context.correlation_id, context.causation_id))
        seen.extend((dict(context.headers), context.timeout_s, context.expected_version, repr(context)))
        return await following(context)

    async with Runtime([Tally], store="memory://", middleware=[look]) as runtime:
        await runtime.send(
            Add("t"),
            command_id="mine",
            correlation_id="flow",
            causation_id="cause",
            headers={"user": "me"},
            timeout_s=7.0,
            expected_version=0,
        )
    shown = f"CommandContext({Add('t')!r}, command_id='mine')"
    assert seen == [Add("t"), "mine", "flow", "cause", {"user": "me"}, 7.0, 0, shown]


@virtual
async def test_middleware_cannot_change_the_command_or_its_metadata() -> None:
    async def meddle(context: CommandContext, following: Next) -> Ack:
        for name in ("command", "command_id", "correlation_id", "causation_id", "headers", "timeout_s"):
            with pytest.raises(AttributeError):
                setattr(context, name, None)
        return await following(context)

    async with Runtime([Tally], store="memory://", middleware=[meddle]) as runtime:
        assert (await runtime.send(Add("t"))).version == 1


@virtual
async def test_next_accepts_only_the_context_that_middleware_was_given() -> None:
    async def lose(context: CommandContext, following: Next) -> Ack:
        wrong: Any = context.command
        return await following(wrong)

    async with Runtime([Tally], store="memory://", middleware=[lose]) as runtime:
        with pytest.raises(ConfigurationError, match="pass the context"):
            await runtime.send(Add("t"))


@virtual
async def test_an_object_that_is_not_middleware_is_refused() -> None:
    wrong: Any = ["auth"]
    with pytest.raises(ConfigurationError, match="'auth' is not callable"):
        Runtime([Tally], store="memory://", middleware=wrong)


@virtual
async def test_metadata_is_stored_with_each_event_of_the_command() -> None:
    store = FaultyStore()
    async with Runtime([Tally], store=store) as runtime:
        ack = await runtime.send(
            Add("t", events=2), correlation_id="flow", causation_id="cause", headers={"user": "me"}
        )
        expected = Metadata(ack.command_id, "flow", "cause", {"user": "me"})
        assert [one.metadata for one in await log_of(runtime, 2)] == [expected] * 2
        assert [msgspec.json.decode(one.metadata, type=Metadata) for one in await whole_log(store)] == [expected] * 2
        assert expected.flow_id == "flow"
        alone = await runtime.send(Add("t"))
        assert (await log_of(runtime, 3))[2].metadata.flow_id == alone.command_id


@virtual
async def test_a_handler_may_ask_for_the_metadata_of_its_command() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        ack = await runtime.send(Reveal("t"), command_id="mine", correlation_id="flow")
        assert msgspec.to_builtins(ack.events[0]) == {"command_id": "mine", "flow_id": "flow"}


@virtual
async def test_headers_are_copied_from_the_caller() -> None:
    headers = {"user": "me"}
    async with Runtime([Tally], store="memory://") as runtime:
        sent = asyncio.ensure_future(runtime.send(Add("t"), headers=headers))
        await asyncio.sleep(0)
        headers["user"] = "somebody else"
        await sent
        assert (await log_of(runtime, 1))[0].metadata.headers == {"user": "me"}


@virtual
async def test_a_tell_is_executed_and_its_failure_is_only_logged() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await runtime.tell(Add("t", 5), correlation_id="flow", headers={"user": "me"})
        await runtime.tell(Add("t", needs=50))
        assert (await runtime.get(Tally, "t")).total == 5
        assert (await log_of(runtime, 1))[0].metadata.headers == {"user": "me"}
        assert runtime.statistics().rejected == 1
