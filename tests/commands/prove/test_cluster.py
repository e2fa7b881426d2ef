"""`actorium prove cluster`: faults of nodes lose nothing, and a read that lacks something would be found."""

import json
from pathlib import Path

import pytest

from actorium.examples.bank.nodes.findings import WANTED_S, ClusterFindings
from actorium.examples.bank.nodes.rounds import CLUSTER_FAULTS
from actorium_cli import run


def test_faults_of_nodes_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    assert run(["prove", "cluster", "--rounds", "1", "--seed", "1", "--json", str(report)]) == 0
    printed = capsys.readouterr()
    assert "acknowledged commands found, 0 lost, 0 duplicated, 0 gaps; every saga ended" in printed.out
    counts = json.loads(report.read_text())
    assert [*counts["outages_s"]] == ["node and server killed"]
    assert counts["again"] > 0
    assert counts["sagas"] > 0
    assert counts["events"] > counts["acknowledged"] > 0


def test_a_stale_read_breaks_a_promise() -> None:
    assert ClusterFindings().holds
    assert not ClusterFindings(stale=1).holds
    assert not ClusterFindings(lost=1).holds


def test_what_is_wanted_is_measured() -> None:
    assert WANTED_S.keys() <= set(CLUSTER_FAULTS)
