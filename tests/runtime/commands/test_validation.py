"""An invalid command is refused before the mailbox, and has no effect."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from support.bank import Add, Added, Deposit, Tally
from support.virtual_time import virtual

from actorium import (
    Aggregate,
    Command,
    CommandFailed,
    ConfigurationError,
    Event,
    Projection,
    Rejected,
    Runtime,
    Saga,
    Settings,
    decide,
    evolve,
    on,
    query,
    starts,
)
from actorium.actors.errors import NotAllowed
from actorium.errors import WrongExpectedVersion
from actorium.store.errors import InvalidCommand, Refused


class Weigh(Command):
    grams: float
    spare: float | None = None
    words: list[str] = []


class Sum(Projection):
    total: int = 0

    @on
    def added(self, event: Added) -> None:
        self.total += event.amount

    @query
    def of(self) -> int:
        return self.total


class Nothing(Saga):
    @starts
    def begin(self, event: Added) -> None: ...


def weigh(*fields: Any) -> Weigh:
    return Weigh(*fields)


class Weighed(Event):
    grams: float
    note: str = ""


class Scale(Aggregate):
    grams: float = 0.0

    @decide
    def weigh(self, command: Weigh) -> Weighed:
        if command.words == ["nan"]:
            return Weighed(math.nan)
        return Weighed(command.grams, "x" * len(command.words))

    @evolve
    def weighed(self, event: Weighed) -> None:
        self.grams += event.grams


@contextmanager
def nothing_done(runtime: Runtime) -> Iterator[None]:
    yield
    statistics = runtime.statistics()
    assert (statistics.live_actors, statistics.position, statistics.in_flight) == (0, 0, 0)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (lambda: weigh("s", "heavy"), "Expected `float`, got `str`"),
        (lambda: weigh("s", math.nan), "Expected `float`, got `null`"),
        (lambda: weigh("s", math.inf), "Expected `float`, got `null`"),
        (lambda: weigh("s", 1.0, math.nan), "spare=nan comes back as None"),
        (lambda: weigh("s", 1.0, -math.inf), "spare=-inf comes back as None"),
        (lambda: weigh("s", 1.0, None, ("a", "b")), "words"),
        (lambda: weigh("s", 1.0, None, [b"a"]), "words"),
        (lambda: weigh("s", 1.0, None, ["\ud800"]), "surrogates"),
        (lambda: weigh("s", object()), "object"),
        (lambda: weigh("s", 1.0, None, ["x" * 5_000]), "but the limit max_payload_bytes is 5000"),
        (lambda: weigh("", 1.0), "`to` must be the aggregate's id"),
        (lambda: weigh("x" * 513, 1.0), "`to` must be the aggregate's id"),
        (lambda: weigh(7, 1.0), "Expected `str`, got `int`"),
        (lambda: weigh(None, 1.0), "Expected `str`, got `null`"),
    ],
)
@virtual
async def test_an_invalid_field_is_refused_before_the_mailbox(command: Callable[[], Command], why: str) -> None:
    async with Runtime([Scale], store="memory://", settings=Settings(max_payload_bytes=5_000)) as runtime:
        with nothing_done(runtime):
            with pytest.raises(InvalidCommand, match=r"Weigh was not sent") as failure:
                await runtime.send(command())
            assert why in str(failure.value)
            with pytest.raises(InvalidCommand):
                await runtime.tell(command())


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


class Keep(Command):
    value: Any


class Kept(Event):
    value: Any


class Box(Aggregate):
    value: Any = None

    @decide
    def keep(self, command: Keep) -> Kept:
        return Kept([command.value])

    @evolve
    def kept(self, event: Kept) -> None:
        self.value = event.value


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", [nested(100), nested(5_000), Unequal(), ["[" * 200, nested(99)]])
@virtual
async def test_a_value_that_is_nested_too_deeply_or_cannot_be_compared_is_refused(value: Any) -> None:
    async with Runtime([Box], store="memory://") as runtime:
        with nothing_done(runtime), pytest.raises(InvalidCommand, match="Keep was not sent"):
            await runtime.send(Keep("b", value))


@virtual
async def test_the_deepest_value_can_be_read_by_everybody() -> None:
    # 100 levels in JSON: the event itself is one, and each list another.
    deepest = ['"[[{' * 200, nested(95)]
    async with Runtime([Box], store="memory://") as runtime:
        await runtime.send(Keep("b", deepest))
        assert (await runtime.get(Box, "b")).value == [deepest]
        assert [change.after.value async for change in runtime.history(Box, "b")] == [[deepest]]
        with pytest.raises(CommandFailed, match="nested deeper than 100 levels"):
            await runtime.send(Keep("b", nested(99)))


@virtual
async def test_the_longest_id_is_accepted() -> None:
    async with Runtime([Scale], store="memory://") as runtime:
        assert (await runtime.send(Weigh("ž" * 512, 1.0))).version == 1


@virtual
async def test_a_command_that_nobody_handles_is_refused() -> None:
    class Heavier(Weigh):
        pass

    async with Runtime([Scale, Tally], store="memory://") as runtime:
        with nothing_done(runtime):
            for command in (Deposit("a", 1), Heavier("s", 1.0), "weigh"):
                with pytest.raises(ConfigurationError, match="no aggregate of this runtime handles"):
                    await runtime.send(command)  # type: ignore[arg-type]


@pytest.mark.parametrize("command_id", ["", "x" * 513, 7, b"id", "\ud800"])
@virtual
async def test_an_invalid_command_id_is_refused(command_id: Any) -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with nothing_done(runtime), pytest.raises(InvalidCommand, match="command_id"):
            await runtime.send(Add("t"), command_id=command_id)


@pytest.mark.parametrize(
    "metadata",
    [
        {"headers": "user"},
        {"headers": ["user"]},
        {"headers": 5},
        {"headers": {"user": 7}},
        {"headers": {7: "user"}},
        {"headers": {"user": None}},
        {"headers": {"user": "\ud800"}},
        {"correlation_id": 7},
        {"correlation_id": None},
        {"causation_id": "\ud800"},
    ],
)
@virtual
async def test_metadata_that_the_log_cannot_return_unchanged_is_refused(metadata: dict[str, Any]) -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with nothing_done(runtime):
            with pytest.raises(InvalidCommand, match=next(iter(metadata))):
                await runtime.send(Add("t"), **metadata)
            with pytest.raises(InvalidCommand, match=next(iter(metadata))):
                await runtime.tell(Add("t"), **metadata)


@pytest.mark.parametrize("timeout_s", [math.nan, -1.0, math.inf, 1e12, "5", True, timedelta(seconds=5)])
@virtual
async def test_an_invalid_timeout_is_refused(timeout_s: Any) -> None:
    async with Runtime([Tally, Sum], store="memory://") as runtime:
        with nothing_done(runtime):
            for call in (
                runtime.send(Add("t"), timeout_s=timeout_s),
                runtime.tell(Add("t"), timeout_s=timeout_s),
                runtime.get(Tally, "t", timeout_s=timeout_s),
                runtime.query(Sum.of, timeout_s=timeout_s),
                runtime.sagas.get(Nothing, "s", ended_within_s=timeout_s),
            ):
                with pytest.raises(ConfigurationError, match=r"(timeout|within)_s="):
                    await call


@pytest.mark.parametrize("number", [-1, 1.0, "1", True])
@virtual
async def test_an_invalid_version_or_position_is_refused(number: Any) -> None:
    async with Runtime([Tally, Sum], store="memory://") as runtime:
        with nothing_done(runtime):
            for read in (
                runtime.get(Tally, "t", at_version=number),
                runtime.get(Tally, "t", at_position=number),
                anext(runtime.history(Tally, "t", after_version=number)),
                runtime.query(Sum.of, after=number),
            ):
                with pytest.raises(InvalidCommand, match=r"(version|position|after)="):
                    await read
            for open_reader in (runtime.events, lambda after: runtime.subscribe("name", after=after)):
                with pytest.raises(InvalidCommand, match="after="):
                    open_reader(after=number)
            with pytest.raises(InvalidCommand, match="at_time"):
                await runtime.get(Tally, "t", at_time=number)


@pytest.mark.parametrize("types", [[], "Added", [int], [Added, 5], Added])
@virtual
async def test_types_that_are_not_event_classes_are_refused(types: Any) -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        for open_reader in (runtime.events, lambda types: runtime.subscribe("name", types=types)):
            with pytest.raises(ConfigurationError, match="types="):
                open_reader(types=types)


@virtual
async def test_invalid_projections_queries_and_names_are_refused() -> None:
    async with Runtime([Tally, Sum], store="memory://") as runtime:
        for wrong in (Sum, "Sum", [Tally], [Sum.of]):
            with nothing_done(runtime), pytest.raises(ConfigurationError, match="projection"):
                await runtime.send(Add("t"), wait_for=wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="@query method"):
            await runtime.query("of")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="@query method"):
            runtime.watch("of")  # type: ignore[arg-type]
        for name in ("", "\ud800", 5):
            with pytest.raises(ConfigurationError, match="subscribe"):
                runtime.subscribe(name)  # type: ignore[arg-type]


@virtual
async def test_an_event_that_json_would_change_fails_its_command() -> None:
    async with Runtime([Scale], store="memory://") as runtime:
        with pytest.raises(CommandFailed, match="Expected `float`, got `null`"):
            await runtime.send(Weigh("s", 1.0, None, ["nan"]))
        assert runtime.statistics().position == 0
        assert (await runtime.send(Weigh("s", 1.0))).version == 1


@virtual
async def test_events_that_are_too_large_fail_their_command() -> None:
    async with Runtime([Scale], store="memory://", settings=Settings(max_payload_bytes=500)) as runtime:
        with pytest.raises(CommandFailed, match="but the limit max_payload_bytes is 500"):
            await runtime.send(Weigh("s", 1.0), headers={"long": "x" * 500})
        assert runtime.statistics().position == 0


@virtual
async def test_metadata_counts_as_often_as_it_is_stored() -> None:
    async with Runtime([Tally], store="memory://", settings=Settings(max_payload_bytes=2_000)) as runtime:
        note = {"note": "x" * 300}
        assert (await runtime.send(Add("t", events=5), headers=note)).version == 5
        with pytest.raises(CommandFailed, match="but the limit max_payload_bytes is 2000"):
            await runtime.send(Add("t", events=6), headers=note)


@virtual
async def test_a_wrong_expected_version_is_reported() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        await runtime.send(Add("t"), expected_version=0)
        with pytest.raises(WrongExpectedVersion, match="is at version 1, not 0"):
            await runtime.send(Add("t"), expected_version=0)
        assert (await runtime.send(Add("t"), expected_version=1)).version == 2


@virtual
async def test_a_rejection_carries_its_reason_and_details() -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with pytest.raises(Rejected) as refusal:
            await runtime.send(Add("t", needs=5))
        assert (refusal.value.reason, refusal.value.details) == ("not enough", {"total": 0})


@pytest.mark.parametrize("version", [-1, 1.0, "1", True])
@virtual
async def test_an_invalid_expected_version_is_refused(version: Any) -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with nothing_done(runtime), pytest.raises(InvalidCommand, match="expected_version"):
            await runtime.send(Add("t"), expected_version=version)


@pytest.mark.parametrize("id", ["", "x" * 513, 7, "\ud800"])
@virtual
async def test_an_invalid_id_is_refused_by_every_method(id: Any) -> None:
    async with Runtime([Tally], store="memory://") as runtime:
        with nothing_done(runtime):
            for read in (
                runtime.get(Tally, id),
                runtime.get(Tally, id, at_version=1),
                anext(runtime.history(Tally, id)),
            ):
                with pytest.raises(InvalidCommand, match="id="):
                    await read
            with pytest.raises(InvalidCommand, match="id="):
                runtime.events(aggregate=Tally, id=id)
            with pytest.raises(InvalidCommand, match="command_id="):
                await runtime.submissions.cancel(id)


@virtual
async def test_a_refusal_by_middleware_reaches_the_caller_and_nothing_is_done() -> None:
    async def guard(*_: Any) -> Any:
        raise NotAllowed("only tellers add")

    async with Runtime([Tally], store="memory://", middleware=[guard]) as runtime:
        with nothing_done(runtime), pytest.raises(Refused, match="only tellers add") as refused:
            await runtime.send(Add("t"))
        assert refused.value.http_status == 403
