"""What proofs with failing processes and servers share: the run, its tables, and the verdict."""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import msgspec
import structlog

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.problem import Interrupted, Problem
from actorium.commands.screen import Screen
from actorium.store.wording import counted

if TYPE_CHECKING:
    from actorium.examples.bank.faults.findings import FaultFindings
    from actorium.examples.bank.findings import AuditFindings

F = TypeVar("F", bound="FaultFindings")


class _Rounds(Protocol[F]):
    findings: F

    async def run(self, rounds: int, on_round: Callable[[int], None]) -> F: ...


class FaultProof:
    """One proof, on the screen or in a JSON file.

    rounds: how often something fails.
    seed: the seed that determines what fails when, for the JSON.
    json: where the results go; None for the screen.
    """

    def __init__(self, rounds: int, seed: int, json: JsonFile) -> None:
        # Servers fail on purpose: warnings would only repeat that.
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        self.screen, self._began = screen_beside(json), time.perf_counter()
        self._rounds, self._seed, self._json = rounds, seed, json

    def run(self, run: _Rounds[F], show: Callable[[Screen, F], Mapping[str, int]]) -> None:
        """Run it; raise Problem if a promise was broken.

        show: shows what is special about this proof, and returns counts that no other proof has, by their names.
        """
        screen = self.screen
        try:
            with screen.progress("faults", self._rounds) as update:
                found = asyncio.run(run.run(self._rounds, update))
        except KeyboardInterrupt:
            raise Interrupted(f"stopped by Ctrl-C after {counted(run.findings.rounds, 'fault')}") from None
        counts = {
            **audit_counts(found),
            "sagas, transfers and submissions without an end": found.unfinished,
            "processes that did not end as they should": found.strays,
            **show(screen, found),
            "sagas": found.sagas,
            "events in the log": found.events,
        }
        rows = [[name, f"{count:,}"] for name, count in counts.items()]
        kept = f"all {found.acknowledged:,} acknowledged commands found, 0 lost, 0 duplicated, 0 gaps; every saga ended"
        outcome = ProofOutcome(counted(found.rounds, "fault"), rows, kept, time.perf_counter() - self._began)
        conclude(screen, found, outcome, self._seed, self._json)


class ProofOutcome(NamedTuple):
    """What a proof shows at its end: the title of its table and the rows, what was kept, and how long it took."""

    title: str
    rows: list[list[str]]
    kept: str
    took_s: float


def conclude(screen: Screen, found: AuditFindings, outcome: ProofOutcome, seed: int, json: JsonFile) -> None:
    """Show what a proof has found, and write it to the JSON file; raise Problem if a promise was broken."""
    rows = [*outcome.rows, ["duration (s)", f"{outcome.took_s:,.1f}"]]
    screen.table([outcome.title, ""], rows)
    for example in found.examples:
        screen.say(f"  {example}")
    if found.holds:
        screen.say(outcome.kept, style="bold green")
    if json is not None:
        write_json({"seed": seed, "took_s": round(outcome.took_s, 1), **msgspec.structs.asdict(found)}, json)
    if not found.holds:
        raise Problem("FAILED: see the table above")


def show_seconds(
    screen: Screen, title: str, found_s: Mapping[str, Sequence[float]], wanted: Mapping[str, tuple[float | None, float]]
) -> None:
    """Show the median and the worst of some times, by the kind of fault, beside what is wanted.

    wanted: the median, or None if none is wanted, and the worst, in seconds.
    """
    rows = []
    for kind, seconds in sorted(found_s.items()):
        median_s, worst_s = wanted.get(kind, (None, None))
        rows.append(
            [
                kind,
                str(len(seconds)),
                f"{statistics.median(seconds):.2f}",
                "" if median_s is None else f"{median_s:g}",
                f"{max(seconds):.2f}",
                "" if worst_s is None else f"{worst_s:g}",
            ]
        )
    screen.table([title, "rounds", "median (s)", "wanted", "worst (s)", "wanted"], rows)


def audit_counts(found: AuditFindings) -> dict[str, int]:
    """Return what every audit of the bank counts, by the words of the tables."""
    return {
        "commands acknowledged": found.acknowledged,
        "acknowledged commands lost": found.lost,
        "commands that took effect twice": found.duplicated,
        "gaps in the log": found.gaps,
        "commands acknowledged at another position when resent": found.moved,
        "accounts with a wrong balance": found.wrong_balances,
    }
