"""Kills a process under mixed load repeatedly, and then checks whether anything is lost, doubled or stuck.

`python -m support.mixed_kills [kills]` in `tests/` prints what was found.
"""

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
from support.mixed_load import CALLERS, Coins, Lease, Move, Purse, runtime_on, work
from support.stores import whole_log

from actorium import Runtime

CHILD = Path(__file__).with_name("mixed_load.py")
_SENT_AGAIN = 3 * CALLERS
_AT_REST_WITHIN_S = 120.0


class Mixed(msgspec.Struct):
    """What was found: `problems` and `broken_chains` must be empty, the rest says how much there was to be found.

    broken_chains: events whose cause is not an earlier event, or that have none although no client started the flow.
    """

    kills: int = 0
    acknowledged: int = 0
    events: int = 0
    tags: dict[str, int] = {}
    ends: dict[str, int] = {}
    caused: int = 0
    problems: list[str] = []
    broken_chains: list[str] = []


def number_of(id: str) -> int:
    """Return the number of the work that a command belongs to."""
    return int(id.rpartition("-")[2])


class MixedKills:
    """One run of a process under mixed load and its kills, in a folder."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._acknowledged: dict[str, int] = {}
        self.found = Mixed()

    def run(self, kills: int) -> Mixed:
        """Kill this many times, let the last process come to rest, and audit the log."""
        for _ in range(kills):
            self._kill()
        asyncio.run(self._audit())
        return self.found

    def _kill(self) -> None:
        newest = max(map(number_of, self._acknowledged), default=0)
        first = max(0, newest - _SENT_AGAIN)
        # A process that is young is killed on its way to its first acknowledgement, or soon after.
        acknowledgements, delay_s = self._chance.randrange(0, 120), self._chance.uniform(0, 0.02)
        command = [sys.executable, str(CHILD), str(self._folder), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(acknowledgements):
                self._take(process.stdout.readline())
            time.sleep(delay_s)
            process.kill()
            for line in process.stdout:
                self._take(line)
            errors = process.stderr.read().decode() if process.stderr is not None else ""
        self.found.kills += 1
        if process.returncode != -signal.SIGKILL:
            self.found.problems.append(f"the process ended with {process.returncode}: {errors[-2_000:]}")
        if "error" in errors:
            self.found.problems.append(f"it logged an error: {errors[-2_000:]}")

    def _take(self, line: bytes) -> None:
        if line.endswith(b"\n"):
            id, position = line.decode().split()
            if self._acknowledged.setdefault(id, int(position)) != int(position):
                self.found.problems.append(f"{id} was acknowledged at {self._acknowledged[id]} and at {position}")

    async def _audit(self) -> None:
        async with runtime_on(self._folder) as runtime:
            for number in sorted(set(map(number_of, self._acknowledged)))[-_SENT_AGAIN:]:
                for id, ack in await work(runtime, number):
                    self._take(f"{id} {ack.position}\n".encode())
            await self._come_to_rest(runtime)
            await self._judge(runtime)

    async def _come_to_rest(self, runtime: Runtime) -> None:
        ends_at = time.monotonic() + _AT_REST_WITHIN_S
        while True:
            left = await self._open_work(runtime)
            if not left:
                return
            if time.monotonic() > ends_at:
                self.found.problems.append(f"stuck: {left}")
                return
            await asyncio.sleep(0.1)

    async def _open_work(self, runtime: Runtime) -> list[str]:
        position = runtime.statistics().position
        return [
            *[f"{one.name} at {one.position}" for one in runtime.statistics().processors if one.position < position],
            *[f"{one.name} parked" for one in runtime.statistics().processors if one.parked],
            *[one.id async for one in runtime.sagas.list() if one.status not in ("completed", "undone")],
            *[one.command_id async for one in runtime.submissions.list(status="waiting")],
        ]

    async def _judge(self, runtime: Runtime) -> None:
        found, problems = self.found, self.found.problems
        records = await whole_log(runtime.store)
        found.acknowledged, found.events = len(self._acknowledged), len(records)
        ids: list[str] = []
        effects: dict[str, list[tuple[str, int]]] = defaultdict(list)
        balances: Counter[str] = Counter()
        filled: list[str] = []
        known: set[str] = set()
        for record in records:
            payload, metadata = msgspec.json.decode(record.payload), msgspec.json.decode(record.metadata)
            name = f"{record.stream.type}/{record.stream.id}/{record.version}"
            command_id = metadata.get("command_id", "")  # an event that says that a step succeeded has none
            ids.append(command_id)
            cause = metadata.get("causation_id", "")
            if cause:
                found.caused += 1
                if cause not in known:
                    found.broken_chains.append(f"{name} names the cause {cause}, which is not an earlier event")
            elif command_id not in self._acknowledged and self._is_derived(command_id):
                found.broken_chains.append(f"{name} of command {command_id} names no cause")
            known.add(name)
            if record.type in ("Filled", "Noted"):
                effects[payload["tag"]].append((record.type, payload.get("coins", 0)))
            if record.type == "Filled":
                balances[record.stream.id] += payload["coins"]
                filled.append(name)
        for id, position in self._acknowledged.items():
            if not 1 <= position <= len(ids) or id not in ids[position - 1]:
                problems.append(f"{id} was acknowledged at position {position} and is not there")
        for tag, happened in effects.items():
            found.tags[tag.partition("-")[0]] = found.tags.get(tag.partition("-")[0], 0) + 1
            if sorted(happened) not in _EXPECTED[tag.partition("-")[0]]:
                problems.append(f"{tag} came to {happened}")
        for id in self._acknowledged:
            if not id.startswith("back-") and id not in effects:
                problems.append(f"{id} was acknowledged and came to nothing")
        await self._compare(runtime, balances, filled)

    @staticmethod
    def _is_derived(command_id: str) -> bool:
        """Return whether an id was not chosen by a client: clients' ids are the tags."""
        work = command_id.removeprefix("~submit ").removeprefix("back-").partition("-")[0]
        return work not in _EXPECTED

    async def _compare(self, runtime: Runtime, balances: Counter[str], filled: list[str]) -> None:
        found, problems = self.found, self.found.problems
        counts = Counter(name.split("/")[1] for name in filled)
        rows = [tuple(row) for row in await runtime.query(Coins.all)]
        if rows != [(purse, balances[purse], counts[purse]) for purse in sorted(counts)]:
            problems.append(f"the table holds {rows}, the log {balances}")
        for purse, coins in balances.items():
            if (state := await runtime.get(Purse, purse)).coins != coins:
                problems.append(f"{purse} holds {state.coins}, the log {coins}")
        published = list(dict.fromkeys((self._folder / "published").read_text(encoding="utf-8").split()))
        if published != filled:
            problems.append(f"{len(published)} events were published, in order or not, of {len(filled)}")
        for saga in (Move, Lease):
            async for view in runtime.sagas.list(saga):
                end = f"{saga.__name__} {view.status}"
                found.ends[end] = found.ends.get(end, 0) + 1


_ONCE = [[("Filled", 1)]]
_THERE = [("Filled", -1), ("Filled", 1)]
# What the events of one piece of work may come to: exactly once each, whatever was killed in between.
_EXPECTED: dict[str, list[list[tuple[str, int]]]] = {
    "fill": _ONCE,
    "submit": _ONCE,
    "later": _ONCE,
    "noted": [[("Filled", 1), ("Noted", 0)]],
    "move": [_THERE],
    "refused": [_THERE],
    "lease": [[("Filled", -1)], _THERE],
}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        result = MixedKills(Path(folder), seed=1).run(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
        print(msgspec.json.format(msgspec.json.encode(result)).decode(), f"{time.perf_counter() - began:.1f} s")
        sys.exit(bool(result.problems or result.broken_chains))
