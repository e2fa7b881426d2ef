"""`actorium nodes` and `actorium shards`: what the log says about its cluster."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.bank import Tally
from support.command_line import output
from support.postgres import new_log
from support.read_models import Totals

from actorium import Runtime
from actorium.cluster import Cluster


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a new log in PostgreSQL."""
    with new_log() as found:
        yield found


@pytest.mark.asyncio
async def test_nodes_are_listed_with_what_they_own(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def listed(*arguments: str) -> str:
        code, out, err = await asyncio.to_thread(output, capsys, *arguments)
        assert code == 0, err
        return out

    async with Runtime([Tally, Totals], store=url, cluster=Cluster(node="a", code="1.2")) as runtime:
        await runtime.query(Totals.of, "t")  # its follower runs
        assert "a (number 1, code 1.2): serving, 1,024 shards" in await listed("nodes", "--at", url)
        assert "projection" in await listed("nodes", "--at", url)
        assert "sagas agenda 2, 16 shares: 00, 01, 02" in await listed("nodes", "--at", url)
        assert "a: 1,024 shards: 0-1023" in await listed("shards", "--at", url)
        report = tmp_path / "nodes.json"
        await listed("nodes", "--at", url, "--json", str(report))
        (node,) = msgspec.json.decode(report.read_bytes())["nodes"]
        assert (node["name"], node["shards"], node["state"]) == ("a", 1024, "serving")
    assert "no node has joined" in await listed("nodes", "--at", url)
    assert "nobody: 1,024 shards: 0-1023" in await listed("shards", "--at", url)


@pytest.mark.about("sqlite", "only a log in PostgreSQL has nodes")
def test_a_log_for_one_process_has_no_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        async with Runtime([Tally], store=f"sqlite:///{tmp_path}/log.db"):
            pass

    asyncio.run(run())
    capsys.readouterr()
    code, out, _ = output(capsys, "nodes", "--at", f"{tmp_path}/log.db")
    assert (code, out) == (0, "no node has joined\n")
    code, out, _ = output(capsys, "shards", "--at", f"{tmp_path}/log.db")
    assert code == 0
    assert "only a log in PostgreSQL has nodes" in out


def test_a_log_that_is_not_there_is_not_created(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = output(capsys, "nodes", "--at", url)
    assert code == 2
    assert "there is no log" in err
