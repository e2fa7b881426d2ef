"""A circuit opens for a service that is silent, not for one that is slow."""

from actorium.runtime.services.circuit import FAILURES_TO_OPEN, Circuit


def test_commands_that_time_out_beside_others_that_are_answered_leave_it_closed() -> None:
    now = 0.0
    circuit = Circuit("customers", lambda: now)
    for _ in range(10):
        circuit.answered()
        for _ in range(2 * FAILURES_TO_OPEN):
            now += 0.05
            circuit.failed()
        assert not circuit.is_open
    now += 1.0
    circuit.failed()
    assert circuit.is_open


def test_it_opens_at_once_for_a_service_that_never_answered() -> None:
    circuit = Circuit("customers", lambda: 0.0)
    for _ in range(FAILURES_TO_OPEN):
        assert not circuit.is_open
        circuit.failed()
    assert circuit.is_open
