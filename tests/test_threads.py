"""The number of threads that each task is computed with, whatever another thread does meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from threadpoolctl import threadpool_info

from metacli import threads

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def fresh_workers() -> Iterator[None]:
    threads._workers.cache_clear()
    yield
    threads._workers.cache_clear()


def numbers_of(tasks: int, fn: Callable[[int], object] = lambda task: None) -> list[int]:
    """How many threads each task computes with, and that `fn` may change for those after it."""

    def number(task: int) -> int:
        found = torch.get_num_threads()
        fn(task)
        return found

    return list(threads.on_workers(number, range(tasks), 2))


def number_of_a_new_thread() -> int:
    found: list[int] = []
    one = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    one.start()
    one.join()
    return found[0]


def test_workers_that_compute_long_after_they_were_made_keep_to_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torch gives a thread's first operation the number of the process at that moment, also where
    the thread has set its own before."""
    begin = threads._take_one_thread

    def slow_start() -> None:
        begin()
        time.sleep(0.1)

    monkeypatch.setattr(threads, "_take_one_thread", slow_start)
    assert numbers_of(1) == [1]
    torch.set_num_threads(2)  # before the second worker has computed
    assert numbers_of(8, lambda task: time.sleep(0.01)) == [1] * 8


def test_a_number_set_before_it_was_taken_does_not_hold_which_is_why_workers_take_it_first() -> (
    None
):
    """What torch does; when this fails, `_take_one_thread` may be simpler."""
    found: list[int] = []
    was_set, go_on = threading.Event(), threading.Event()

    def sets_it_first() -> None:
        torch.set_num_threads(1)
        was_set.set()
        go_on.wait(10)
        found.append(torch.get_num_threads())

    one = threading.Thread(target=sets_it_first)
    one.start()
    was_set.wait(10)
    torch.set_num_threads(2)
    go_on.set()
    one.join()
    assert found == [2]


def test_a_task_that_changes_the_number_does_not_change_it_for_the_next() -> None:
    assert numbers_of(6, lambda task: torch.set_num_threads(2)) == [1] * 6


def test_workers_leave_the_number_of_the_process_alone() -> None:
    torch.set_num_threads(3)
    numbers_of(2)
    assert (torch.get_num_threads(), number_of_a_new_thread()) == (3, 3)


def test_results_come_in_order_from_both_workers() -> None:
    meet = threading.Barrier(2, timeout=10)

    def name(task: int) -> tuple[int, str]:
        meet.wait()
        return task, threading.current_thread().name

    found = list(threads.on_workers(name, range(4), 2))
    assert [task for task, _ in found] == [0, 1, 2, 3]
    assert {name for _, name in found} == {"tasks_0", "tasks_1"}


def test_a_block_computes_with_its_own_number_and_puts_the_other_back_after_an_error() -> None:
    def ends_with_an_error() -> None:
        with threads.computing_with(1):
            raise ValueError(f"on {torch.get_num_threads()} thread")

    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="on 1 thread"):
        ends_with_an_error()
    assert (torch.get_num_threads(), number_of_a_new_thread()) == (2, 2)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12: it has threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_makes_workers_of_its_own() -> None:
    numbers_of(2)
    assert threads._workers.cache_info().currsize == 1
    child = os.fork()
    if child == 0:
        os._exit(threads._workers.cache_info().currsize)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_one_thread_is_for_a_while_and_for_numpy_too() -> None:
    torch.set_num_threads(2)
    before = [one["num_threads"] for one in threadpool_info()]
    with threads.one_thread():
        assert torch.get_num_threads() == 1
        assert {one["num_threads"] for one in threadpool_info()} == {1}
    assert torch.get_num_threads() == 2
    assert [one["num_threads"] for one in threadpool_info()] == before
