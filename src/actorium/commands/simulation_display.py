"""How far a campaign or an exhaustive search is: moving on a terminal, in a few plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actorium.simulation.search.campaign import Tally
from actorium.simulation.search.exhaustive import Coverage
from actorium.simulation.words import duration, per_minute
from actorium.store.wording import counted

_REDRAWN_EVERY_S = 0.2
_PLAIN_LINES = 4
_KINDS_SHOWN = 12


class _Display:
    """Shows how far something is: redrawn on a terminal now and then, a few lines anywhere else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown_s = 0.0
        self._shown_part = 0

    @contextmanager
    def shown(self) -> Iterator[Self]:
        """Show it meanwhile; what moved on a terminal is gone afterwards."""
        if not self._console.is_terminal:
            yield self
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            yield self

    def _show(self, part: float, said: Callable[[], str], drawn: Callable[[], Group]) -> None:
        """Show that a part of it is done, 0 to 1, if it is time to; the rest is asked for only then."""
        if self._live is not None:
            now_s = time.monotonic()
            if now_s - self._shown_s >= _REDRAWN_EVERY_S:
                self._shown_s = now_s
                self._live.update(drawn(), refresh=True)
            return
        lines = int(part * _PLAIN_LINES)
        if self._shown_part < lines < _PLAIN_LINES:
            self._shown_part = lines
            self._console.print(f"  {said()}")

    def _bar(self, part: float) -> ProgressBar:
        return ProgressBar(total=1.0, completed=part, width=min(60, self._console.width))


class CampaignDisplay(_Display):
    """Shows one campaign; `update` takes its tally as often as it likes."""

    def __init__(self, console: Console, name: str, *, seeds: int | None, minutes: float | None) -> None:
        super().__init__(console)
        self._name = name
        self._seeds = seeds
        self._minutes = minutes

    def update(self, tally: Tally) -> None:
        """Show how far it is, if it is time to."""
        self._show(self._part(tally), lambda: self._said(tally), lambda: self._drawn(tally))

    def _part(self, tally: Tally) -> float:
        parts = [0.0]
        if self._seeds:
            parts.append(tally.seeds / self._seeds)
        if self._minutes:
            parts.append(tally.elapsed_s / (self._minutes * 60))
        return min(1.0, max(parts))

    def _said(self, tally: Tally) -> str:
        of = f"{tally.seeds:,} of " if self._seeds else ""
        return (
            f"{of}{counted(self._seeds or tally.seeds, 'seed')}, "
            f"{per_minute(tally.seeds, tally.elapsed_s):,} per minute, "
            f"{counted(sum(tally.faults.values()), 'fault')}, {duration(tally.simulated_s)} simulated"
        )

    def _drawn(self, tally: Tally) -> Group:
        kinds = Table.grid(padding=(0, 2))
        most = max(tally.faults.values(), default=1)
        for kind, count in tally.faults.most_common(_KINDS_SHOWN):
            kinds.add_row(Text(str(kind), style="dim"), Text(f"{count:,}", justify="right"), _portion(count / most))
        return Group(
            Text.assemble((self._name, "bold"), f"  {self._said(tally)}"),
            self._bar(self._part(tally)),
            kinds,
        )


def _portion(part: float) -> Text:
    return Text("━" * max(1, round(part * 20)), style="yellow")


class ExhaustionDisplay(_Display):
    """Shows how many single faults were tried, each with its crashes."""

    def update(self, coverage: Coverage) -> None:
        """Show how far it is, if it is time to."""
        part = coverage.faults_run / coverage.faults
        said = f"{coverage.faults_run:,} of {counted(coverage.faults, 'fault')}, {counted(coverage.runs, 'run')}"
        self._show(part, lambda: said, lambda: Group(Text(said), self._bar(part)))
