"""The checks of commits and answers: each gets a case it must find, and a correct one."""

import msgspec
import pytest
from support.transfers import Account, Deposit, Deposited, Open, Opened, Withdraw, Withdrawn
from support.written import WrittenLog, ack

from actorium import Ack, AlreadyExists, NotFound, Rejected
from actorium.errors import CommandTimeout, WrongExpectedVersion
from actorium.sagas.model.events import CommandAnswered, IssuedCommand, SagaStarted, StepIssued, as_recorded
from actorium.simulation.record.history import UNKNOWN
from actorium.simulation.record.witness import Loss
from actorium.store.errors import StoreUnavailable
from actorium.store.event_store import Append
from actorium.store.events import EncodedEvent, EncodedRecord, as_json
from actorium.store.names import StreamName

A = StreamName("Account", "a")


@pytest.fixture
def log() -> WrittenLog:
    """An account with 100, opened by the command `open`."""
    log = WrittenLog()
    log.commit("a", Opened(100, True), command_id="open")
    return log


def placed(record: EncodedRecord, **fields: object) -> EncodedRecord:
    return msgspec.structs.replace(record, **fields)


# --- what the world saw ---------------------------------------------------------------------------------------------


def test_positions_and_versions_are_consecutive(log: WrittenLog) -> None:
    (right,) = log.records("a", [Withdrawn(1)], "w")
    for wrong in (placed(right, position=3), placed(right, version=3), placed(right, recorded_us=1)):
        with pytest.raises(Loss):
            log.witness.saw([wrong])
    log.witness.saw([right])


def test_the_log_after_a_restart_continues_what_was_seen(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(1), command_id="w")
    first, second = log.witness.records
    (third,) = log.records("a", [Withdrawn(2)], "x")
    for wrong in ([first], [second, first], [first, placed(second, payload=b"{}")]):
        with pytest.raises(Loss):
            log.witness.compare(wrong)
    log.witness.compare([first, second, third])
    assert log.witness.position == 3


# --- effects --------------------------------------------------------------------------------------------------------


def test_each_command_takes_effect_once(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(1), Withdrawn(2), command_id="two events of one append")
    log.commit("b", Opened(0, True), command_id="another")
    assert log.found == []
    log.commit("a", Withdrawn(3), command_id="open")
    assert log.found == ["a command takes effect once"]


def test_a_command_takes_effect_in_one_stream(log: WrittenLog) -> None:
    (first,) = log.records("a", [Withdrawn(1)], "both")
    (other,) = log.records("b", [Opened(1, True)], "both")
    log.witness.saw([first, placed(other, position=3)])
    assert log.found == ["a command takes effect in one append"]


def test_the_log_contains_what_the_store_reported_as_appended(log: WrittenLog) -> None:
    payload = as_json(Opened(100, True))
    right = Append(A, 0, (EncodedEvent("Opened", 1, payload, b""),))
    lost = WrongExpectedVersion(A, expected=5, actual=1)
    log.effects.reported([right, msgspec.structs.replace(right, expected_version=5)], [1, lost])
    assert log.found == []
    log.effects.reported([msgspec.structs.replace(right, expected_version=1)], [1])
    assert log.found == ["the log holds what was appended"]


def issue(log: WrittenLog) -> None:
    """A saga starts and issues one command."""
    command = IssuedCommand("Withdraw", as_recorded({"to": "a", "amount": 1}))
    started = SagaStarted("", "", as_recorded({"source": "a"}))
    log.commit("s", started, StepIssued("debit", "debit", False, (command,)), command_id="start", kind="Transfer")


def test_a_sagas_command_takes_effect_after_its_intent(log: WrittenLog) -> None:
    issue(log)
    log.commit("a", Withdrawn(1), command_id="Transfer/s/debit/0", causation_id="Transfer/s/2")
    assert log.found == []


@pytest.mark.parametrize("command_id", ["Transfer/s/credit/0", "Transfer/s/debit/1", "Transfer/other/debit/0"])
def test_a_sagas_command_that_was_not_issued_is_found(log: WrittenLog, command_id: str) -> None:
    issue(log)
    owner, id, *_ = command_id.split("/")
    log.commit("a", Withdrawn(1), command_id=command_id, causation_id=f"{owner}/{id}/2")
    assert log.found == ["a saga's command is sent after its intent"]


def test_a_sagas_command_that_was_answered_before_it_took_effect_is_found(log: WrittenLog) -> None:
    issue(log)
    log.commit("s", CommandAnswered("debit", 0, "too late"), command_id="late", kind="Transfer")
    log.commit("a", Withdrawn(1), command_id="Transfer/s/debit/0", causation_id="Transfer/s/2")
    assert log.found == ["a saga's command is sent after its intent"]


# --- acknowledgements -----------------------------------------------------------------------------------------------


def test_an_acknowledgement_matches_the_log(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(5), command_id="w")
    right = ack(log, "a", Withdrawn(5), command_id="w")
    again = msgspec.structs.replace(right, duplicate=True)
    log.answered(Withdraw("a", 5), right, seen=1, command_id="w")
    log.answered(Withdraw("a", 5), again, seen=1, command_id="w")
    assert log.found == []


@pytest.mark.parametrize(
    ("wrong", "invariant"),
    [
        ({"version": 3}, "an acknowledgement matches the log"),
        ({"position": 1}, "an acknowledgement matches the log"),
        ({"stream_id": "b"}, "an acknowledgement matches the log"),
        ({"events": (Withdrawn(6),)}, "an acknowledgement matches the log"),
    ],
)
def test_an_acknowledgement_that_does_not_match_is_found(
    log: WrittenLog, wrong: dict[str, object], invariant: str
) -> None:
    log.commit("a", Withdrawn(5), command_id="w")
    answer = msgspec.structs.replace(ack(log, "a", Withdrawn(5), command_id="w"), **wrong)
    log.answered(Withdraw("a", 5), answer, seen=1, command_id="w")
    assert log.found == [invariant]


def test_an_acknowledgement_before_durability_is_found(log: WrittenLog) -> None:
    log.answered(Withdraw("a", 5), Ack("a", 2, 2, (Withdrawn(5),), "w"), command_id="w")
    assert log.found == ["what is acknowledged is durable"]


def test_an_effect_from_before_its_command_was_sent_is_found(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(5), command_id="w")
    log.answered(Withdraw("a", 5), ack(log, "a", Withdrawn(5), command_id="w", duplicate=True), seen=2, command_id="w")
    assert log.found == ["a command takes effect after it is sent"]


def test_a_second_answer_not_marked_duplicate_is_found(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(5), command_id="w")
    right = ack(log, "a", Withdrawn(5), command_id="w")
    log.answered(Withdraw("a", 5), right, seen=1, command_id="w")
    log.answered(Withdraw("a", 5), right, seen=1, command_id="w")
    assert log.found == ["a second answer is marked as a duplicate"]


def test_an_acknowledgement_without_events_covers_what_it_depends_on(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(5), command_id="w")
    log.answered(Withdraw("a", 0), Ack("a", 2, 2, (), "x"), command_id="x")
    assert log.found == []
    log.answered(Withdraw("a", 0), Ack("a", 2, 1, (), "x"), command_id="x")
    log.answered(Withdraw("a", 0), Ack("a", 2, 3, (), "x"), command_id="x")
    assert log.found == ["an acknowledgement covers what it depends on"] * 2
    log.answered(Withdraw("a", 0), Ack("a", 3, 2, (), "x"), command_id="x")
    assert log.found[2:] == ["what is acknowledged is durable"]


@pytest.mark.parametrize(
    "answer",
    [Rejected("insufficient funds"), StoreUnavailable("not now"), Ack("a", 1, 1, (), "w")],
    ids=lambda answer: type(answer).__name__,
)
def test_an_effect_after_an_answer_that_nothing_was_done_is_found(log: WrittenLog, answer: object) -> None:
    log.sent(Withdraw("a", 5), answer, command_id="w")
    log.commit("a", Withdrawn(5), command_id="w")
    log.replies.at_rest()
    assert log.found == ["a refused command has no effect"]


def test_an_effect_during_a_request_that_is_refused_is_found(log: WrittenLog) -> None:
    seen = log.witness.position
    log.commit("a", Withdrawn(5), command_id="w")
    log.sent(Withdraw("a", 5), StoreUnavailable("not now"), seen=seen, command_id="w")
    log.replies.at_rest()
    assert log.found == ["a refused command has no effect"]


def test_an_effect_may_be_that_of_another_request_with_the_id(log: WrittenLog) -> None:
    unknown = CommandTimeout("no reply", command_id="w")
    for id, known, answer in (("earlier", 1, unknown), ("never answered", UNKNOWN, None)):
        log.sent(Withdraw("a", 5), answer, seen=1, known=known, command_id=id)
        log.sent(Withdraw("a", 5), Rejected("insufficient funds"), seen=1, known=1, command_id=id)
        log.commit("a", Withdrawn(5), command_id=id)
    log.sent(Withdraw("a", 5), Rejected("insufficient funds"), command_id="later")
    log.sent(Withdraw("a", 5), None, seen=3, known=UNKNOWN, command_id="later")
    log.commit("a", Withdrawn(5), command_id="later")
    log.replies.at_rest()
    assert log.found == []


# --- streams: refusals and reads ------------------------------------------------------------------------------------


def test_answers_that_were_right_during_the_request_pass(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(60), command_id="w")
    log.commit("a", Deposited(10), command_id="d")
    log.sent(Withdraw("a", 70), Rejected("insufficient funds", balance=40), seen=1)
    log.sent(Withdraw("a", 70), Rejected("insufficient funds", balance=50))
    log.sent(Open("a", 1), AlreadyExists(""))
    log.sent(Deposit("nobody", 1), NotFound(""))
    log.sent(Deposit("a", 1), WrongExpectedVersion(A, expected=2, actual=3), expected_version=2)
    log.sent(Deposit("a", 1), WrongExpectedVersion(A, expected=3, actual=4))  # lost races, no version was asked for
    log.sent(Deposit("a", 1), StoreUnavailable("who knows"))
    log.was_read("a", Account("a", 40), seen=1, known=3)
    log.was_read("a", Account("a", 100), seen=3, known=3, at_version=1)
    log.was_read("a", NotFound(""), seen=0, known=3)
    log.was_read("a", NotFound(""), seen=3, known=3, at_version=4)
    assert log.judged() == []


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (Withdraw("a", 70), Rejected("insufficient funds", balance=40)),
        (Withdraw("a", 70), Rejected("no", balance=50)),
        (Withdraw("a", 1), Rejected("insufficient funds", balance=50)),
        (Open("nobody", 1), AlreadyExists("")),
        (Deposit("a", 1), NotFound("")),
        (Deposit("a", 1), Ack("a", 3, 3, (), "x")),
    ],
)
def test_an_answer_that_was_right_only_before_the_request_is_found(
    log: WrittenLog, command: Withdraw, answer: object
) -> None:
    log.commit("a", Withdrawn(60), command_id="w")
    log.commit("a", Deposited(10), command_id="d")
    log.sent(command, answer, seen=3)
    assert log.judged() == ["an answer matches a state that existed during the request"]


def test_the_version_in_a_lost_race_is_one_during_the_request(log: WrittenLog) -> None:
    log.sent(Deposit("a", 1), WrongExpectedVersion(A, expected=5, actual=4), expected_version=5)
    assert log.judged() == ["an answer matches a state that existed during the request"]


@pytest.mark.parametrize(
    "reading",
    [
        {"answer": Account("a", 100), "seen": 2, "known": 2},
        {"answer": Account("a", 40), "seen": 1, "known": 1},
        {"answer": Account("a", 40), "seen": 2, "known": 2, "at_version": 1},
        {"answer": Account("a", 40), "seen": 2, "known": 2, "at_version": 3},
        {"answer": NotFound(""), "seen": 1, "known": 2},
        {"answer": NotFound(""), "seen": 2, "known": 2, "at_version": 2},
    ],
)
def test_a_read_of_a_state_that_never_existed_is_found(log: WrittenLog, reading: dict[str, object]) -> None:
    log.commit("a", Withdrawn(60), command_id="w")
    log.was_read("a", **reading)  # type: ignore[arg-type]
    assert log.judged() == ["a read returns a state that existed during the request"]


def test_a_command_that_took_effect_is_not_rejected_later(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(90), command_id="w")
    refusal = Rejected("insufficient funds", balance=10)
    log.sent(Withdraw("a", 90), refusal, seen=1, command_id="w")
    assert log.judged() == ["an answer matches a state that existed during the request"]
    log.sent(Withdraw("a", 90), refusal, seen=2, command_id="w")
    assert len(log.judged()) == 3


def test_a_decision_follows_from_the_state_before_it(log: WrittenLog) -> None:
    log.commit("a", Withdrawn(90), command_id="w")
    log.sent(Withdraw("a", 90), ack(log, "a", Withdrawn(90), command_id="w"), seen=1, command_id="w")
    assert log.judged() == []
    log.commit("a", Withdrawn(20), command_id="x")  # of the 10 that are left
    log.sent(Withdraw("a", 20), ack(log, "a", Withdrawn(20), command_id="x"), seen=2, command_id="x")
    assert log.judged() == ["a decision follows from the state before it"]
