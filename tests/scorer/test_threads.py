"""How passes side by side share the CPU threads."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from serve_app.scorer.threads import SharedThreads


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_a_pass_alone_has_all_of_them() -> None:
    threads = SharedThreads(4)
    for _ in range(2):
        with threads.part():
            assert torch.get_num_threads() == 4


def test_those_that_come_to_another_have_a_part() -> None:
    threads = SharedThreads(4)
    both = threading.Barrier(2)

    def in_another_thread() -> tuple[int, int]:
        with threads.part():
            part = torch.get_num_threads()
            both.wait(10)
        return part, torch.get_num_threads()

    with threads.part(), ThreadPoolExecutor(1) as other:
        asked = other.submit(in_another_thread)
        both.wait(10)
        assert torch.get_num_threads() == 4
        assert asked.result() == (2, 4)
    with threads.part():
        assert torch.get_num_threads() == 4


def test_each_has_one_at_least() -> None:
    threads = SharedThreads(1)
    with threads.part(), threads.part():
        assert torch.get_num_threads() == 1


def test_a_pass_that_fails_gives_its_part_back() -> None:
    threads = SharedThreads(2)
    with pytest.raises(RuntimeError), threads.part():
        raise RuntimeError
    with threads.part():
        assert torch.get_num_threads() == 2
