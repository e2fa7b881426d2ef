"""The promises of a disk: synced bytes survive a power cut; of the rest, any part may."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.simulation.disk import SECTOR_BYTES, DiskError, PowerCut, SimulatedDisk, SimulatedFile
from actorium.simulation.disk.choices import EveryChoice, every_state

OLD, NEW, NEWER = (letter * SECTOR_BYTES for letter in (b"o", b"n", b"N"))
TORN = NEW[: SECTOR_BYTES // 2] + OLD[SECTOR_BYTES // 2 :]


def opened(disk: SimulatedDisk, name: str = "f") -> SimulatedFile:
    file = disk.file(name)
    assert file is not None
    return file


def states(disk: SimulatedDisk, name: str = "f") -> set[bytes | None]:
    """The possible contents of a file after a power cut; None if it does not exist."""
    return {state.content(name) if name in state.names() else None for state in every_state(disk)}


def test_synced_bytes_survive_and_others_may_be_kept_lost_or_torn() -> None:
    disk = SimulatedDisk({"f": OLD})
    file = opened(disk)
    disk.write("f", file, 0, NEW)
    assert disk.content("f") == NEW
    assert states(disk) == {OLD, NEW, TORN}
    disk.sync("f", file)
    assert states(disk) == {NEW}


def test_sectors_are_written_in_any_order() -> None:
    disk = SimulatedDisk({"f": OLD * 2})
    disk.write("f", opened(disk), 0, NEW * 2)
    assert states(disk) == {first + second for first in (OLD, NEW, TORN) for second in (OLD, NEW, TORN)}


def test_a_sector_written_twice_may_hold_either_version() -> None:
    disk = SimulatedDisk({"f": OLD})
    disk.write("f", opened(disk), 0, NEW)
    disk.write("f", opened(disk), 0, NEWER)
    found = states(disk)
    assert {OLD, NEW, NEWER} < found
    assert len(found) == 4  # and torn between the first and the last


def test_a_write_changes_no_neighbouring_byte() -> None:
    disk = SimulatedDisk({"f": OLD})
    disk.write("f", opened(disk), 100, b"x" * 10)
    for state in states(disk):
        assert state is not None
        assert (state[:100], state[110:]) == (OLD[:100], OLD[110:])


def test_a_file_may_have_any_size_since_its_last_sync() -> None:
    disk = SimulatedDisk({"f": OLD})
    file = opened(disk)
    disk.write("f", file, 3 * SECTOR_BYTES, NEW)
    assert {len(state or b"") for state in states(disk)} == {SECTOR_BYTES, 4 * SECTOR_BYTES}
    disk.truncate(file, 10)
    assert {len(state or b"") for state in states(disk)} == {SECTOR_BYTES, 4 * SECTOR_BYTES, 10}
    disk.sync("f", file)
    assert states(disk) == {OLD[:10]}


def test_a_new_name_is_durable_once_the_directory_is_synced() -> None:
    disk = SimulatedDisk()
    file = disk.create("f")
    disk.write("f", file, 0, NEW)
    disk.sync("f", file)
    assert states(disk) == {None, NEW}
    disk.sync_directory()
    assert states(disk) == {NEW}


def test_a_removed_file_may_come_back_until_the_directory_is_synced() -> None:
    disk = SimulatedDisk({"f": OLD})
    disk.delete("f")
    assert disk.names() == []
    again = disk.create("f")
    disk.write("f", again, 0, NEW)
    disk.sync("f", again)
    assert states(disk) == {OLD, None, NEW}
    disk.sync_directory()
    assert states(disk) == {NEW}


def test_bytes_dropped_by_a_failed_sync_are_durable_only_when_written_again() -> None:
    errors = iter([DiskError.BROKEN, None, None])
    disk = SimulatedDisk({"f": OLD + OLD}, before_sync=lambda name: next(errors))
    file = opened(disk)
    disk.write("f", file, 0, NEW + NEW)
    assert disk.sync("f", file) is DiskError.BROKEN
    assert disk.sync("f", file) is None
    assert {OLD + OLD, NEW + NEW} < states(disk)
    disk.write("f", file, 0, NEW)
    assert disk.sync("f", file) is None
    assert states(disk) == {NEW + OLD, NEW + NEW, NEW + TORN}


def test_a_failed_write_changes_nothing() -> None:
    disk = SimulatedDisk({"f": OLD}, before_write=lambda name, offset, size: DiskError.FULL)
    assert disk.write("f", opened(disk), 0, NEW) is DiskError.FULL
    assert states(disk) == {OLD}


def test_writes_survive_a_killed_process_but_not_a_later_power_cut() -> None:
    disk = SimulatedDisk({"f": OLD})
    disk.write("f", opened(disk), 0, NEW)
    disk.create("g")
    after = disk.after_kill()
    assert disk.is_off
    assert (after.content("f"), after.names()) == (NEW, ["f", "g"])
    assert states(after) == {OLD, NEW, TORN}
    assert states(after, "g") == {None, b""}


def test_a_disk_without_power_accepts_nothing() -> None:
    def cut(name: str, offset: int, size: int) -> None:
        raise PowerCut

    disk = SimulatedDisk({"f": OLD}, before_write=cut)
    file = opened(disk)
    disk.write("f", file, 0, NEW)  # it was on its way when the power went
    assert disk.is_off
    for _ in range(2):
        disk.write("f", file, 0, NEWER)
        disk.truncate(file, 0)
        disk.sync("f", file)
        disk.delete("f")
        disk.sync_directory()
    assert states(disk) == {OLD, NEW, TORN}


def test_a_flipped_bit_survives_a_power_cut() -> None:
    disk = SimulatedDisk({"f": OLD})
    disk.write("f", opened(disk), 0, NEW[:1])
    disk.flip_bit("f", 8 * 5)
    rotten = OLD[:5] + bytes([OLD[5] ^ 1]) + OLD[6:]
    assert {state[1:] for state in states(disk) if state} == {rotten[1:]}


Operation = tuple[str, int, int]


def operations() -> st.SearchStrategy[list[Operation]]:
    writes = st.tuples(st.just("write"), st.integers(0, 3_000), st.integers(1, 1_200))
    cuts = st.tuples(st.just("truncate"), st.integers(0, 3_000), st.just(0))
    return st.lists(writes | cuts | st.just(("sync", 0, 0)), max_size=12)


def played(disk: SimulatedDisk, script: list[Operation]) -> Iterator[tuple[bytes, bool]]:
    """Run a script and yield after each step the durable content, and whether everything is durable."""
    file = opened(disk)
    durable = disk.content("f")
    for number, (what, at, size) in enumerate(script):
        if what == "write":
            disk.write("f", file, at, bytes([97 + number]) * size)
        elif what == "truncate":
            disk.truncate(file, at)
        else:
            disk.sync("f", file)
            durable = disk.content("f")
        yield durable, what == "sync"


@given(operations(), st.integers(0, 2**32))
def test_every_state_lies_between_the_last_sync_and_the_present(script: list[Operation], seed: int) -> None:
    disk, chance = SimulatedDisk({"f": OLD * 2}), random.Random(seed)
    for durable, is_synced in played(disk, script):
        present = disk.content("f")
        assert disk.possible_after_power_cut(lambda site, options: 0).content("f") == durable
        assert disk.possible_after_power_cut(lambda site, options: 1).content("f") == present
        state = disk.possible_after_power_cut(lambda site, options: chance.randrange(options)).content("f")
        if is_synced:
            assert state == durable
        assert set(state) <= {0, *OLD, *range(97, 97 + len(script))}


@pytest.mark.parametrize("options", [(), (3,), (2, 3, 2)])
def test_every_sequence_of_choices_is_made_once(options: tuple[int, ...]) -> None:
    choice, made = EveryChoice(), []
    while True:
        made.append(tuple(choice("site", count) for count in options))
        if not choice.next_run():
            break
    expected = 1
    for count in options:
        expected *= count
    assert len(made) == len(set(made)) == expected
