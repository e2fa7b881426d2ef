"""`Screen`: where a command says what it does: with a moving bar on a terminal, in plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

_STEPS_OF_A_BAR = 400  # redrawing it for every row would cost more than the row
_PLAIN_LINES = 4  # where there is no terminal, a bar is this many lines


class Screen:
    """Standard output for what happens, standard error for what went wrong.

    aside: standard error for both: something else has standard output to itself.
    """

    def __init__(self, out: Console | None = None, err: Console | None = None, *, aside: bool = False) -> None:
        self._out = out or Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=aside)
        self._err = err or Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)

    @property
    def out(self) -> Console:
        """Standard output itself, for what moves."""
        return self._out

    def say(self, text: str = "", style: str | None = None) -> None:
        """Print a line."""
        self._out.print(text, style=style)

    def note(self, text: str) -> None:
        """Print on standard error what is not the answer itself."""
        self._err.print(text, style="dim")

    def head(self, text: str) -> None:
        """Print the head of a part, after an empty line."""
        self._out.print()
        self._out.print(text, style="bold")

    def complain(self, text: str) -> None:
        """Print what went wrong."""
        self._err.print(text, style="bold red")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table, its columns flush right."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self._out.print(table)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far something is: call what this gives with how many of `total` are done."""
        if not self._out.is_terminal:
            yield self._plain_progress(what, total)
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._out) as bar:
            task = bar.add_task(what, total=total)
            shown = 0

            def update(done: int) -> None:
                nonlocal shown
                if done - shown >= total / _STEPS_OF_A_BAR or done == total:
                    shown = done
                    bar.update(task, completed=done)

            yield update

    def _plain_progress(self, what: str, total: int) -> Callable[[int], None]:
        shown = 0

        def update(done: int) -> None:
            nonlocal shown
            part = done * _PLAIN_LINES // max(total, 1)
            if part > shown:
                shown = part
                self.say(f"  {what}: {done:,} of {total:,}")

        return update
