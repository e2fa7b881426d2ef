"""One cold aggregate with a long history: replayed from its first event, and from a snapshot."""

from __future__ import annotations

from actorium import Runtime, Snapshots
from actorium.benchmarks.account import Account
from actorium.benchmarks.measuring.filling import filled
from actorium.benchmarks.measuring.gate import require_log
from actorium.benchmarks.measuring.load import AMOUNT
from actorium.benchmarks.scenario import Bench, Figures, Scenario, Stopwatch, Wrong

_ID = "account-0"


class SavedAccount(Account):
    """The same account, with snapshots."""

    stream_type = "Account"
    snapshots = Snapshots(every=200)


async def measure(bench: Bench) -> Figures:
    """Return how fast one long stream is replayed."""
    events = bench.count("events")
    await filled(bench, 1, events)
    replayed = await _state(bench, Account, events)
    await _state(bench, SavedAccount, events)  # replays the stream and leaves the snapshot that the next read uses
    restored = await _state(bench, SavedAccount, events)
    await require_log(bench.store(), {_ID: events}, filled=events)
    return {
        "events_per_s": events / replayed.wall_s,
        "replay_ms": replayed.wall_s * 1e3,
        "with_snapshot_ms": restored.wall_s * 1e3,
    }


async def _state(bench: Bench, aggregate: type[Account], events: int) -> Stopwatch:
    async with Runtime([aggregate], store=bench.store()) as runtime:
        await bench.ask_durability(runtime.store)
        with bench.clock() as clock:
            state = await runtime.get(aggregate, _ID)
    if state.balance != events * AMOUNT:
        raise Wrong(f"a balance of {state.balance} after {events} deposits of {AMOUNT}")
    return clock


SCENARIO = Scenario(
    name="replay",
    question="How fast is one stream of {events} events replayed?",
    headline="events_per_s",
    measure=measure,
    sizes={"events": 100_000},
    quick={"events": 20_000},
    also="the whole stream {replay_ms} ms; from a snapshot {with_snapshot_ms} ms",
)
