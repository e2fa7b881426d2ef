"""The view, which invariants see: folded from the durable log."""

from support.transfers import Account, Deposited, Opened, Transfer, Withdrawn
from support.written import WrittenLog

from actorium.sagas.model.events import SagaCompleted, SagaStarted, as_recorded


def log_of_two_accounts() -> WrittenLog:
    log = WrittenLog()
    log.commit("b", Opened(10, True))
    log.commit("a", Opened(20, True), Withdrawn(5))
    return log


def test_it_has_the_aggregates_in_order_of_their_first_events() -> None:
    log = log_of_two_accounts()
    assert log.view.all(Account) == [Account("b", 10), Account("a", 15)]
    assert log.view.get(Account, "a") == Account("a", 15)
    assert log.view.get(Account, "c") is None


def test_it_sees_each_commit_at_once() -> None:
    log = log_of_two_accounts()
    assert log.view.get(Account, "b") == Account("b", 10)
    log.commit("b", Deposited(7))
    assert log.view.get(Account, "b") == Account("b", 17)
    assert log.view.position == 4


def test_it_has_the_events_of_some_classes_in_log_order() -> None:
    view = log_of_two_accounts().view
    assert [(one.stream_id, one.position) for one in view.events(Opened)] == [("b", 1), ("a", 2)]
    assert [one.position for one in view.events(Opened, Withdrawn)] == [1, 2, 3]


def test_it_has_the_sagas_with_their_fields() -> None:
    log = WrittenLog()
    for id in ("s1", "s2"):
        log.commit(id, SagaStarted("", "", as_recorded({"source": id})), kind="Transfer")
    log.commit("s1", SagaCompleted(), kind="Transfer")
    assert [(one.id, one.status, one.state) for one in log.view.sagas()] == [
        ("s1", "completed", {"source": "s1"}),
        ("s2", "running", {"source": "s2"}),
    ]
    assert [one.id for one in log.view.sagas(open=True)] == ["s2"]
    assert [one.id for one in log.view.sagas(Transfer, status="completed")] == ["s1"]
