"""One command → one durable event, everything on: metadata, deduplication, statistics, one live subscription.

`python -m benchmarks.hot_path --store sqlite --synchronous FULL --callers 100` prints one JSON line. A run whose
acknowledged commands are not all in the log, once, in order, is no figure: it fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import platform
import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import structlog

from actorium import Runtime
from actorium.benchmarks.account import Account, Deposit


async def run(
    url: str, *, callers: int, aggregates: int, commands: int, seed: int, subscribe: bool
) -> dict[str, object]:
    """Return the figures of one closed-loop run: each caller sends its next command when the last is acknowledged."""
    async with Runtime([Account], store=url) as runtime:
        ids = [f"account-{n}" for n in range(aggregates)]
        await asyncio.gather(*(runtime.send(Deposit(id, 1)) for id in ids))
        seen: list[int] = []
        follower = asyncio.create_task(_follow(runtime, seen)) if subscribe else None
        latencies: list[float] = []

        async def caller(number: int) -> None:
            chance = random.Random(seed * 1_000_003 + number).random
            for _ in range(max(1, commands // callers)):
                began = time.perf_counter()
                await runtime.send(Deposit(ids[int(chance() * aggregates)], 5))
                latencies.append(time.perf_counter() - began)

        batches = runtime.statistics().writer.batches
        tasks = [asyncio.create_task(caller(number)) for number in range(callers)]
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*tasks)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        batches = runtime.statistics().writer.batches - batches
        await _check(runtime, aggregates + len(latencies))
        if follower is not None:
            follower.cancel()
        latencies.sort()
        return {
            "ops_per_s": round(len(latencies) / wall),
            "p50_ms": round(latencies[len(latencies) // 2] * 1e3, 3),
            "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1e3, 3),
            "cpu_us_per_command": round(cpu / len(latencies) * 1e6, 1),
            "events_per_commit": round(len(latencies) / max(1, batches), 1),
        }


async def _follow(runtime: Runtime, seen: list[int]) -> None:
    async for recorded in runtime.events():
        seen.append(recorded.position)


async def _check(runtime: Runtime, expected: int) -> None:
    """Count what was acknowledged in the log: a fast wrong answer is a failure."""
    versions: dict[str, int] = {}
    position = 0
    async for recorded in runtime.events():
        position += 1
        versions[recorded.stream_id] = versions.get(recorded.stream_id, 0) + 1
        if recorded.position != position or recorded.version != versions[recorded.stream_id]:
            raise SystemExit(f"wrong: {recorded.stream} version {recorded.version} at position {recorded.position}")
        if position == expected:
            break
    if runtime.statistics().position != expected:
        raise SystemExit(f"wrong: {expected} acknowledged, {runtime.statistics().position} in the log")


def main() -> None:
    """Run once and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("memory", "sqlite"), default="sqlite")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL"), default="FULL")
    parser.add_argument("--callers", type=int, default=100)
    parser.add_argument("--aggregates", type=int, default=1_000)
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-subscription", action="store_true")
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="actorium-bench-") as folder:
        path = Path(folder) / "bench.db"
        url = "memory://" if args.store == "memory" else f"sqlite:///{path}?synchronous={args.synchronous}"
        figures = asyncio.run(
            run(
                url,
                callers=args.callers,
                aggregates=args.aggregates,
                commands=args.commands,
                seed=args.seed,
                subscribe=not args.no_subscription,
            )
        )
    durability = "none (in memory)"
    if args.store == "sqlite":
        durability = f"sqlite {sqlite3.sqlite_version} journal_mode=wal synchronous={args.synchronous}"
    settings = {**vars(args), "python": platform.python_version()}
    sys.stdout.write(json.dumps({"durability": durability, "settings": settings, **figures}) + "\n")


if __name__ == "__main__":
    main()
