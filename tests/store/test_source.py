"""Identifiers of the real source."""

from actorium.store.source import SystemSource


def test_identifiers_of_one_run_differ_and_rise_and_count() -> None:
    source = SystemSource()
    ids = [source.new_id() for _ in range(70_000)]  # past what four digits hold
    assert ids == sorted(set(ids))
    assert [int(id.rpartition("-")[2], 16) for id in ids] == list(range(1, 70_001))
    assert len({id.rpartition("-")[0] for id in ids}) == 1


def test_two_runs_never_share_an_identifier() -> None:
    assert SystemSource().new_id() != SystemSource().new_id()
