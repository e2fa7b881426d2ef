"""Two services over a bus that loses, doubles and delays messages and is away for a while: no invariant breaks."""

from collections import Counter

from simulation.services.namesakes import two_logs
from simulation.services.on_nodes import refusals_of_nodes
from simulation.services.scenarios import commands, shop
from simulation.services.strained import strained

from actorium import Ack, Rejected
from actorium.errors import (
    CommandTimeout,
    CommitUnknown,
    ConfigurationError,
    InvalidCommand,
    NotAllowed,
    Overloaded,
    ServiceUnavailable,
)
from actorium.simulation import Faults, Kind
from actorium.simulation.world.faults import FAMILIES

SEEDS = 25


def test_services_with_every_kind_of_trouble_break_no_invariant() -> None:
    happened: Counter[Kind] = Counter()
    for seed in range(SEEDS):
        outcome = shop.run(seed)
        assert outcome.violation is None, (seed, outcome.violation)
        happened.update(fault.kind for fault in outcome.faults)
    assert {Kind.CRASH, *FAMILIES["bus"], *FAMILIES["entry"]} - set(happened) == set()


def test_without_faults_every_order_ends() -> None:
    assert shop.run(0, faults=Faults.none()).violation is None


def test_direct_commands_under_every_kind_of_trouble_break_no_invariant() -> None:
    happened: Counter[Kind] = Counter()
    answers: Counter[type] = Counter()
    for seed in range(SEEDS):
        outcome = commands.run(seed)
        assert outcome.violation is None, (seed, outcome.violation)
        happened.update(fault.kind for fault in outcome.faults)
        answers.update(type(delivery.answer) for one in outcome.operations for delivery in one.deliveries)
    assert {Kind.CRASH, *FAMILIES["bus"], *FAMILIES["request"]} - set(happened) == set()
    refusals = {Rejected, NotAllowed, ConfigurationError, InvalidCommand, Overloaded, ServiceUnavailable}
    assert {Ack, CommandTimeout, CommitUnknown, *refusals} - set(answers) == set()


def test_a_strained_service_breaks_no_invariant() -> None:
    answers: Counter[type] = Counter()
    for seed in range(10):
        outcome = strained.run(seed)
        assert outcome.violation is None, (seed, outcome.violation)
        answers.update(type(delivery.answer) for one in outcome.operations for delivery in one.deliveries)
    assert {Ack, Rejected, CommandTimeout, Overloaded, ServiceUnavailable} - set(answers) == set()


def test_what_nodes_of_a_service_refuse_has_no_effect_later() -> None:
    happened: Counter[Kind] = Counter()
    answers: Counter[type] = Counter()
    for seed in range(10):
        outcome = refusals_of_nodes.run(seed)
        assert outcome.violation is None, (seed, outcome.violation)
        happened.update(fault.kind for fault in outcome.faults)
        answers.update(type(delivery.answer) for one in outcome.operations for delivery in one.deliveries)
    assert {Kind.CRASH, Kind.PAUSE, Kind.FRAME_LATE, Kind.FRAME_LOST} - set(happened) == set()
    assert {Ack, Rejected, CommitUnknown, CommandTimeout} - set(answers) == set()


def test_of_two_logs_under_one_name_the_later_one_takes_nothing_in() -> None:
    for seed in range(10):
        assert two_logs.run(seed).violation is None, seed
