"""A log that processes share: frozen ones thaw, late statements arrive, and only the holder of the log writes."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import msgspec
import pytest
from simulation.mutants.scenarios import accounts, transfers

from actorium.simulation import Faults, Kind, Outcome
from actorium.simulation.world.logs import FENCED
from actorium.store.errors import Fenced
from actorium.store.event_store import AppendBatch, Appended, SaveCheckpoint
from actorium.testing.shared_model import SharedModel

SEEDS = 60
OFTEN = msgspec.structs.replace(
    Faults.all(0.05), rates={**Faults.all(0.05).rates, Kind.FROZEN: 0.5, Kind.CRASH_BEFORE_COMMIT: 0.05}
)


def run(seed: int) -> Outcome:
    """Run one of two scenarios on a shared log."""
    return (transfers, accounts)[seed % 2].run(seed, store="shared-model", faults=OFTEN)


def test_processes_that_take_over_from_each_other_break_no_invariant() -> None:
    happened: Counter[Kind] = Counter()
    for seed in range(SEEDS // 2):
        outcome = run(seed)
        assert outcome.violation is None, (seed, outcome.violation)
        happened.update(fault.kind for fault in outcome.faults)
    assert happened[Kind.FROZEN] > 10
    assert happened[Kind.CRASH_BEFORE_COMMIT] > 10


def test_nobody_is_frozen_where_the_log_is_not_shared() -> None:
    assert all(fault.kind is not Kind.FROZEN for seed in range(5) for fault in transfers.run(seed, faults=OFTEN).faults)


# --- rules of the log that are broken on purpose -------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]
join, renew, leave, append = SharedModel.join, SharedModel.renew, SharedModel.leave, SharedModel.append


def appends_are_not_fenced(patch: pytest.MonkeyPatch) -> None:
    async def append_of_anybody(model: SharedModel, writer: int, batch: AppendBatch) -> Appended:
        return await model.log.append(batch)

    patch.setattr(SharedModel, "append", append_of_anybody)


def saves_are_not_fenced(patch: pytest.MonkeyPatch) -> None:
    async def save_of_anybody(model: SharedModel, writer: int, checkpoints: Sequence[SaveCheckpoint]) -> Any:
        return await model.log.save(checkpoints)

    patch.setattr(SharedModel, "save", save_of_anybody)


def taking_over_leaves_the_former_writer_named(patch: pytest.MonkeyPatch) -> None:
    def join_beside(model: SharedModel, name: str, lease_s: float) -> int | None:
        before, writer = model.writers, join(model, name, lease_s)
        model.writers |= before
        return writer

    patch.setattr(SharedModel, "join", join_beside)


def a_renewal_names_a_fenced_writer_again(patch: pytest.MonkeyPatch) -> None:
    def renew_anybody(model: SharedModel, writer: int, lease_s: float) -> bool:
        model.writers |= {writer}
        return renew(model, writer, lease_s) or True

    patch.setattr(SharedModel, "renew", renew_anybody)


def writers_share_a_number(patch: pytest.MonkeyPatch) -> None:
    def join_as_one(model: SharedModel, name: str, lease_s: float) -> int | None:
        model._numbers = repeat(1)  # type: ignore[assignment]
        return join(model, name, lease_s)

    patch.setattr(SharedModel, "join", join_as_one)


def a_former_holder_that_closes_takes_everybody_out(patch: pytest.MonkeyPatch) -> None:
    def leave_all(model: SharedModel, writer: int) -> None:
        leave(model, writer)
        model.writers = frozenset()

    patch.setattr(SharedModel, "leave", leave_all)


def a_fenced_append_is_written_in_part(patch: pytest.MonkeyPatch) -> None:
    async def append_first_then_look(model: SharedModel, writer: int, batch: AppendBatch) -> Appended:
        try:
            return await append(model, writer, batch)
        except Fenced:
            await model.log.append(msgspec.structs.replace(batch, appends=batch.appends[:1], snapshots=()))
            raise

    patch.setattr(SharedModel, "append", append_first_then_look)


def the_next_holder_does_not_look_up_command_ids(patch: pytest.MonkeyPatch) -> None:
    def forget_and_join(model: SharedModel, name: str, lease_s: float) -> int | None:
        model.log._commands.clear()
        return join(model, name, lease_s)

    patch.setattr(SharedModel, "join", forget_and_join)


def taking_over_loses_the_last_event(patch: pytest.MonkeyPatch) -> None:
    def join_a_copy_that_lags(model: SharedModel, name: str, lease_s: float) -> int | None:
        writer = join(model, name, lease_s)
        if writer is not None and model.log._log:
            lost = model.log._log.pop()
            model.log._streams[lost.stream.type][lost.stream.id].pop()
        return writer

    patch.setattr(SharedModel, "join", join_a_copy_that_lags)


@pytest.mark.parametrize(
    "plant",
    [
        appends_are_not_fenced,
        saves_are_not_fenced,
        taking_over_leaves_the_former_writer_named,
        a_renewal_names_a_fenced_writer_again,
        writers_share_a_number,
        a_former_holder_that_closes_takes_everybody_out,
        a_fenced_append_is_written_in_part,
        the_next_holder_does_not_look_up_command_ids,
        taking_over_loses_the_last_event,
    ],
)
def test_a_broken_rule_of_the_log_is_found(plant: Plant) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        violations = (run(seed).violation for seed in range(SEEDS))
        assert next((one for one in violations if one is not None), None) is not None


def test_a_write_of_a_former_holder_is_named() -> None:
    with pytest.MonkeyPatch.context() as patch:
        appends_are_not_fenced(patch)
        found = {violation.invariant for seed in range(SEEDS // 2) if (violation := run(seed).violation) is not None}
    assert FENCED in found
