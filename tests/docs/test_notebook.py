"""The notebook of the documentation runs in a real kernel, and shows its results as tables."""

from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

from actorium import Aggregate, Command, Event, Runtime, decide, evolve
from actorium.contrib.notebook import load_ipython_extension, stream, unload_ipython_extension
from actorium.errors import InvalidCommand, NotFound

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "explore.ipynb"


class Say(Command):
    text: str


class Said(Event):
    text: str


class Talk(Aggregate):
    last: str = ""

    @decide
    def say(self, command: Say) -> Said:
        return Said(command.text)

    @evolve
    def said(self, event: Said) -> None:
        self.last = event.text


def test_the_notebook_runs_and_shows_tables(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(cell.outputs == [] for cell in notebook.cells if cell.cell_type == "code"), "clear it before a commit"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output["data"]["text/plain"] for output in outputs]
    tables = [output["data"]["text/html"] for output in outputs if "text/html" in output["data"]]
    assert texts[0] == "<Runtime of Account, Request on memory (nothing survives the process), at position 0>"
    transfer, ann, history, undone, cause = tables
    assert "<caption>Transfer&lt;t-1&gt; is completed</caption>" in transfer
    assert "credit: done" in transfer
    assert "<caption>Account&lt;ann&gt;</caption>" in ann
    assert "cents: 100 → 70" in history
    assert "Transfer&lt;t-2&gt; is undone" in undone
    assert "<td style='text-align: left'>Request/t-1/1</td>" in cause


@pytest.mark.asyncio
async def test_tables_escape_values_and_leave_out_the_oldest() -> None:
    shell = InteractiveShell()
    html = shell.display_formatter.formatters["text/html"]
    async with Runtime([Talk], store="memory://") as runtime:
        for text in ("one", "two", "<script>", "x" * 1_000):
            await runtime.send(Say("t", text))
        view = await stream(runtime, Talk, "t", last=2)
        state = await runtime.get(Talk, "t")
        with pytest.raises(NotFound):
            await stream(runtime, Talk, "nobody")
        with pytest.raises(InvalidCommand, match="last=0"):
            await stream(runtime, Talk, "t", last=0)
    assert (view.before, [change.version for change in view.changes]) == (2, [3, 4])
    assert str(view).splitlines()[0] == "Talk<t>: 4 events"
    assert html(state) is None, "nothing is registered yet"
    load_ipython_extension(shell)
    shown = html(view)
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "x" * 300 not in shown
    assert "Talk&lt;t&gt;" in html(state)
    unload_ipython_extension(shell)
    assert html(state) is None
