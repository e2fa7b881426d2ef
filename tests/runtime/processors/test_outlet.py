"""The outlet publishes events in log order, at least once, with stable ids."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.bank import Account, AccountOpened, Deposit, Deposited, OpenAccount, Withdraw, Withdrawn
from support.stores import FaultyStore, append
from support.virtual_time import settled, until, virtual

from actorium import ConfigurationError, Event, Outlet, Retry, Runtime, Settings
from actorium.store.event_store import AppendBatch
from actorium.store.memory import MemoryStore
from actorium.store.source import SeededSource
from actorium.types import CloudEvent

PUBLISHER = Path(__file__).resolve().parents[2] / "support" / "publisher.py"


class Receiver:
    """A sink that keeps what it takes; while `trouble` is set it takes nothing."""

    def __init__(self) -> None:
        self.taken: list[CloudEvent] = []
        self.asked_at: list[float] = []
        self.trouble: Exception | None = None

    async def __call__(self, event: CloudEvent) -> None:
        self.asked_at.append(asyncio.get_running_loop().time())
        if self.trouble is not None:
            raise self.trouble
        self.taken.append(event)

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.taken]


def outlet(sink: Any, start: Any = "beginning", **more: Any) -> Outlet:
    return Outlet(
        "bank", types=more.pop("types", [AccountOpened, Deposited]), sink=sink, source="/bank", start=start, **more
    )


@virtual
async def test_chosen_events_are_published_in_the_order_of_the_log() -> None:
    receiver = Receiver()
    async with Runtime([Account, outlet(receiver)], store="memory://") as runtime:
        for name in ("alice", "bob"):
            await runtime.send(OpenAccount(name))
        for number in range(30):
            await runtime.send(Deposit("alice" if number % 3 else "bob", 1 + number))
            await runtime.send(Withdraw("alice" if number % 3 else "bob", 1))
        await settled()
        published = [recorded async for recorded in _all(runtime)]
    assert [event.id for event in receiver.taken] == published
    assert not any(event.type == "Withdrawn" for event in receiver.taken)


async def _all(runtime: Runtime) -> Any:
    head = runtime.statistics().position
    async for recorded in runtime.events(after=0):
        if not isinstance(recorded.event, Withdrawn):
            yield f"{recorded.stream_type}/{recorded.stream_id}/{recorded.version}"
        if recorded.position >= head:
            return


@virtual
async def test_an_event_is_published_as_cloudevents_json() -> None:
    receiver = Receiver()
    source = SeededSource(time_us=1_700_000_000_123_456)
    async with Runtime([Account, outlet(receiver)], store="memory://", source=source) as runtime:
        await runtime.send(OpenAccount("alice", owner="Alice"), command_id="o-1")
        await runtime.send(Deposit("alice", 5), command_id="d-1", correlation_id="flow", causation_id="letter 7")
        await settled()
    opened, deposited = (json.loads(event.as_json()) for event in receiver.taken)
    assert deposited == {
        "specversion": "1.0",
        "id": "Account/alice/2",
        "source": "/bank",
        "type": "Deposited",
        "time": "2023-11-14T22:13:20.123456Z",
        "subject": "alice",
        "datacontenttype": "application/json",
        "data": {"amount": 5},
        "correlationid": "flow",
        "causationid": "letter 7",
        "commandid": "d-1",
        "schemaversion": 1,
    }
    assert (opened["correlationid"], opened["commandid"], "causationid" in opened) == ("o-1", "o-1", False)
    assert CloudEvent.content_type == "application/cloudevents+json"


@virtual
async def test_ids_are_unique_whatever_slashes_the_names_have() -> None:
    class Odd(Account):
        stream_type = "a/b"

    receiver = Receiver()
    async with Runtime([Odd, outlet(receiver)], store="memory://") as runtime:
        await runtime.send(OpenAccount("c/1"))
        await settled()
    assert receiver.ids == ["a%2Fb/c/1/1"]


@virtual
async def test_a_failing_sink_gets_the_same_event_without_limit_and_with_backoff() -> None:
    receiver = Receiver()
    receiver.trouble = ConnectionError("nobody there")
    box = outlet(receiver, retry=Retry(attempts=1, backoff_s=1.0, backoff_max_s=8.0))
    async with Runtime([Account, box], store="memory://", source=SeededSource()) as runtime:
        await runtime.send(OpenAccount("alice"))
        await runtime.send(Deposit("alice", 1))
        await asyncio.sleep(1_000)
        statistics = runtime.processors[box].statistics()
        assert (statistics.state, statistics.position, statistics.lag_events) == ("waiting", 0, 2)
        assert statistics.error == (
            "TryLater: the sink of outlet bank did not accept Account<alice> version 1: ConnectionError: nobody there"
        )
        waits = [after - before for before, after in zip(receiver.asked_at, receiver.asked_at[1:], strict=False)]
        assert waits[0] < waits[1] < waits[2]
        assert len(waits) > 95
        assert 8.0 <= max(waits) <= 10.0
        receiver.trouble = None
        await until(lambda: len(receiver.taken) == 2)
        await settled()
        assert (runtime.processors[box].statistics().state, runtime.processors[box].statistics().error) == (
            "running",
            "",
        )
    assert receiver.ids == ["Account/alice/1", "Account/alice/2"]


@virtual
async def test_after_progress_the_backoff_starts_again() -> None:
    fails = {3: 4, 5: 1}  # the event of this version fails so often
    asked: list[tuple[str, float]] = []

    async def sink(event: CloudEvent) -> None:
        version = int(event.id.rpartition("/")[2])
        asked.append((event.id, asyncio.get_running_loop().time()))
        if fails.get(version, 0):
            fails[version] -= 1
            raise ConnectionError

    box = outlet(sink, retry=Retry(attempts=1, backoff_s=1.0, backoff_max_s=60.0))
    async with Runtime([Account, box], store="memory://", source=SeededSource()) as runtime:
        await runtime.send(OpenAccount("alice"))
        for amount in range(1, 6):
            await runtime.send(Deposit("alice", amount))
        await until(lambda: len(asked) == 6 + 5)
    at_5 = [at for id, at in asked if id == "Account/alice/5"]
    assert at_5[1] - at_5[0] < 1.5


@virtual
async def test_a_sink_that_hangs_counts_as_failed_after_its_time() -> None:
    calls = 0

    async def sink(event: CloudEvent) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()

    box = outlet(sink, timeout_s=5.0)
    async with Runtime([Account, box], store="memory://") as runtime:
        await runtime.send(OpenAccount("alice"))
        await until(lambda: calls == 2)


@virtual
async def test_it_pauses_and_resumes() -> None:
    receiver = Receiver()
    box = outlet(receiver)
    async with Runtime([Account, box], store="memory://") as runtime:
        await runtime.send(OpenAccount("alice"))
        await settled()
        runtime.processors[box].pause()
        await settled()
        await runtime.send(Deposit("alice", 1))
        await asyncio.sleep(100)
        assert (receiver.ids, runtime.processors[box].statistics().state) == (["Account/alice/1"], "paused")
        runtime.processors[box].resume()
        await settled()
        assert receiver.ids == ["Account/alice/1", "Account/alice/2"]


@virtual
async def test_resuming_retries_a_failing_sink_immediately() -> None:
    receiver = Receiver()
    receiver.trouble = ConnectionError()
    box = outlet(receiver, retry=Retry(attempts=1, backoff_s=3_600.0, backoff_max_s=3_600.0))
    async with Runtime([Account, box], store="memory://") as runtime:
        await runtime.send(OpenAccount("alice"))
        await settled()
        receiver.trouble = None
        runtime.processors[box].resume()
        await settled()
        assert receiver.ids == ["Account/alice/1"]


@pytest.mark.parametrize(("start", "expected"), [("beginning", [1, 2, 3]), ("now", [3])])
def test_a_new_outlet_begins_where_it_is_told(start: str, expected: list[int]) -> None:
    @virtual
    async def run() -> None:
        store, receiver = MemoryStore(), Receiver()
        async with Runtime([Account], store=store) as runtime:
            await runtime.send(OpenAccount("alice"))
            await runtime.send(Deposit("alice", 1))
        box = outlet(receiver, start)
        async with Runtime([Account, box], store=store) as runtime:
            await runtime.send(Deposit("alice", 2))  # at once: it is never taken for something that was there before
            await settled()
            assert receiver.ids == [f"Account/alice/{version}" for version in expected]
            await runtime.processors[box].reset()
            await settled()
            assert receiver.ids == [f"Account/alice/{version}" for version in expected] * 2

    run()


@virtual
async def test_an_outlet_that_began_now_on_an_empty_log_misses_nothing_after_a_crash() -> None:
    store, receiver = FaultyStore(), Receiver()
    receiver.trouble = ConnectionError("down until the crash")
    async with Runtime([Account, outlet(receiver, "now")], store=store) as runtime:
        await runtime.send(OpenAccount("alice"))
        await settled()
    receiver.trouble = None
    async with Runtime([Account, outlet(receiver, "now")], store=store):
        await settled()
    assert receiver.ids == ["Account/alice/1"]


@virtual
async def test_a_restart_continues_where_the_last_run_ended() -> None:
    store, receiver = MemoryStore(), Receiver()
    for run in range(3):
        async with Runtime([Account, outlet(receiver)], store=store) as runtime:
            if run == 0:
                await runtime.send(OpenAccount("alice"))
            await runtime.send(Deposit("alice", run + 1))
            await settled()
    assert receiver.ids == [f"Account/alice/{version}" for version in (1, 2, 3, 4)]


@virtual
async def test_an_event_accepted_before_the_save_comes_again_with_the_same_id() -> None:
    store, receiver = FaultyStore(), Receiver()
    async with Runtime([Account, outlet(receiver)], store=store) as runtime:
        await runtime.send(OpenAccount("alice"))
        await settled()
        store.next_fault = lambda: "none" if isinstance(store.last, AppendBatch) else "before"
        await runtime.send(Deposit("alice", 1))
        await settled()
        assert receiver.ids == ["Account/alice/1", "Account/alice/2"]
    store.next_fault = lambda: "none"
    async with Runtime([Account, outlet(receiver)], store=store):
        await settled()
    assert receiver.ids == ["Account/alice/1", "Account/alice/2", "Account/alice/2"]
    assert receiver.taken[1] == receiver.taken[2]


@virtual
async def test_an_unreadable_event_is_parked_and_the_others_continue() -> None:
    store, receiver = MemoryStore(), Receiver()
    await store.open()
    await append(store, ("Account", "alice"), 0, _Misfit("no number"))
    await store.close()
    box = outlet(receiver)
    # The one event of its shape would refuse the start.
    async with Runtime([Account, box], store=store, settings=Settings(unreadable_types="warn")) as runtime:
        await runtime.send(OpenAccount("bob"))
        await settled()
        processor = runtime.processors[box]
        assert receiver.ids == ["Account/bob/1"]
        (letter,) = processor.dead_letters()
        assert (letter.stream.id, letter.version) == ("alice", 1)
        assert await processor.discard(letter.position, "written by mistake")
        assert processor.statistics().parked == 0


class _Misfit(Event):
    event_type = "Deposited"

    amount: str


@virtual
async def test_several_outlets_work_independently() -> None:
    one, two = Receiver(), Receiver()
    one.trouble = ConnectionError()
    first = Outlet("first", types=[Deposited], sink=one, source="/bank", start="now")
    second = Outlet("second", types=[AccountOpened], sink=two, source="/bank", start="now")
    async with Runtime([Account, first, second], store="memory://") as runtime:
        await runtime.send(OpenAccount("alice"))
        await runtime.send(Deposit("alice", 1))
        await settled()
        assert (one.ids, two.ids) == ([], ["Account/alice/1"])
        assert {one.name: one.state for one in (p.statistics() for p in runtime.processors.values())} == {
            "outlet first": "waiting",
            "outlet second": "running",
        }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"source": " "}, 'such as "/bank"'),
        ({"types": []}, "give the event classes"),
        ({"types": [Account]}, "Account is not an Event"),
        ({"start": "later"}, '"now" or "beginning"'),
        ({"timeout_s": 0}, "above 0"),
    ],
)
def test_invalid_options_are_refused(arguments: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {
        "name": "bank",
        "types": [Deposited],
        "sink": Receiver(),
        "source": "/bank",
        "start": "now",
        **arguments,
    }
    with pytest.raises(ConfigurationError, match=message):
        Outlet(whole.pop("name"), **whole)


def test_two_outlets_with_the_same_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two outlets of this runtime have the name 'bank'"):
        Runtime([Account, outlet(Receiver()), outlet(Receiver())], store="memory://")


@pytest.mark.parametrize("kill_at", [1, 7, 20])
def test_a_process_killed_in_its_sink_loses_nothing_and_repeats_ids(log_url: str, tmp_path: Path, kill_at: int) -> None:
    taken = tmp_path / "taken"
    command = [sys.executable, str(PUBLISHER), log_url, str(taken)]
    killed = subprocess.run([*command, "1", "60", str(kill_at)], capture_output=True, text=True, timeout=60)
    assert killed.returncode == -9, killed.stderr
    before = taken.read_text(encoding="utf-8").splitlines()
    assert len(before) == kill_at
    again = subprocess.run([*command, "1", "60", "0"], capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again.stderr
    after = taken.read_text(encoding="utf-8").splitlines()[kill_at:]
    # A kill repeats the newest of what was taken, never what lies before something that is missing.
    repeated = len(before) + len(after) - 60
    assert 0 < repeated <= kill_at
    assert [*before[: kill_at - repeated], *after] == [
        f"Account/{'alice' if number % 2 else 'bob'}/{1 + (number + 1) // 2} {number}" for number in range(1, 61)
    ]
