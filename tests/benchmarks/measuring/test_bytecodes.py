"""The count of bytecodes is the same in each run, and covers all code between start and stop."""

import threading

from actorium.benchmarks.measuring.bytecodes import Bytecodes


def work(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total += number
    return total


def counted(rounds: int) -> int:
    bytecodes = Bytecodes()
    bytecodes.start()
    work(rounds)
    bytecodes.stop()
    work(rounds)
    return bytecodes.executed


def test_the_same_work_is_the_same_count() -> None:
    assert counted(1_000) == counted(1_000)
    assert 1.9 < counted(2_000) / counted(1_000) < 2.1


def test_the_running_frame_is_included() -> None:
    bytecodes = Bytecodes()
    bytecodes.start()
    for _ in range(1_000):
        pass
    bytecodes.stop()
    assert bytecodes.executed > 1_000


def test_threads_that_begin_later_are_included_if_asked_for() -> None:
    def in_thread() -> int:
        bytecodes.start()
        thread = threading.Thread(target=work, args=(1_000,))
        thread.start()
        thread.join()
        bytecodes.stop()
        return bytecodes.executed

    bytecodes = Bytecodes(threads=True)
    try:
        with_it = in_thread()
    finally:
        bytecodes.close()
    bytecodes = Bytecodes()
    assert with_it - in_thread() > 3_000
