"""How far a campaign or an exhaustive search is: moving on a terminal, in a few plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actorium.simulation.campaign import Tally
from actorium.simulation.exhaustive import Coverage
from actorium.simulation.words import duration, per_minute

_REDRAWN_EVERY_S = 0.2
_PLAIN_LINES = 4
_KINDS_SHOWN = 12


class CampaignDisplay:
    """Shows one campaign; `update` takes its tally as often as it likes."""

    def __init__(self, console: Console, name: str, *, seeds: int | None, minutes: float | None) -> None:
        self._console = console
        self._name = name
        self._seeds = seeds
        self._minutes = minutes
        self._live: Live | None = None
        self._shown_s = 0.0
        self._shown_part = 0

    @contextmanager
    def shown(self) -> Iterator[CampaignDisplay]:
        """Show it meanwhile; what moved on a terminal is gone afterwards."""
        if not self._console.is_terminal:
            yield self
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            yield self

    def update(self, tally: Tally) -> None:
        """Show how far it is, if it is time to."""
        now_s = time.monotonic()
        if self._live is not None:
            if now_s - self._shown_s >= _REDRAWN_EVERY_S:
                self._shown_s = now_s
                self._live.update(self._drawn(tally), refresh=True)
            return
        part = int(self._part(tally) * _PLAIN_LINES)
        if self._shown_part < part < _PLAIN_LINES:
            self._shown_part = part
            self._console.print(f"  {self._said(tally)}")

    def _part(self, tally: Tally) -> float:
        parts = [0.0]
        if self._seeds:
            parts.append(tally.seeds / self._seeds)
        if self._minutes:
            parts.append(tally.elapsed_s / (self._minutes * 60))
        return min(1.0, max(parts))

    def _said(self, tally: Tally) -> str:
        of = f" of {self._seeds:,}" if self._seeds else ""
        return (
            f"{tally.seeds:,}{of} seeds, {per_minute(tally.seeds, tally.elapsed_s):,} a minute, "
            f"{sum(tally.faults.values()):,} faults, {duration(tally.simulated_s)} simulated"
        )

    def _drawn(self, tally: Tally) -> Group:
        kinds = Table.grid(padding=(0, 2))
        most = max(tally.faults.values(), default=1)
        for kind, count in tally.faults.most_common(_KINDS_SHOWN):
            kinds.add_row(Text(str(kind), style="dim"), Text(f"{count:,}", justify="right"), _bar(count / most))
        part = self._part(tally)
        return Group(
            Text.assemble((self._name, "bold"), f"  {self._said(tally)}"),
            ProgressBar(total=1.0, completed=part, width=min(60, self._console.width)),
            kinds,
        )


def _bar(part: float) -> Text:
    return Text("━" * max(1, round(part * 20)), style="yellow")


class ExhaustionDisplay:
    """Shows how many single faults were tried, each with its crashes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown_s = 0.0
        self._shown_part = 0

    @contextmanager
    def shown(self) -> Iterator[ExhaustionDisplay]:
        """Show it meanwhile."""
        if not self._console.is_terminal:
            yield self
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            yield self

    def update(self, coverage: Coverage) -> None:
        """Show how far it is, if it is time to."""
        said = f"{coverage.faults_run:,} of {coverage.faults:,} faults, {coverage.runs:,} runs"
        if self._live is not None:
            now_s = time.monotonic()
            if now_s - self._shown_s >= _REDRAWN_EVERY_S:
                self._shown_s = now_s
                bar = ProgressBar(
                    total=coverage.faults, completed=coverage.faults_run, width=min(60, self._console.width)
                )
                self._live.update(Group(Text(said), bar), refresh=True)
            return
        part = coverage.faults_run * _PLAIN_LINES // coverage.faults
        if self._shown_part < part < _PLAIN_LINES:
            self._shown_part = part
            self._console.print(f"  {said}")
