"""What all tests share. This file also puts `tests/` on the path, for `reference` and `toys`."""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported, and for every process that a test starts: the networks here are so small
# that a second thread costs more than it does, above all where other work wants the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Libraries make millions of objects that stay: looking for garbage among them seldom, as the
# command line does, takes a fourteenth off the time of the suite.
gc.set_threshold(20_000, *gc.get_threshold()[1:])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-golden",
        action="store_true",
        help="write tests/golden/*.json again; the commit says why the numbers move",
    )
    parser.addoption(
        "--shuffle",
        type=int,
        metavar="SEED",
        help="run the files in an order of this seed, and the tests of each",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The same order in every process of a run; the tests of a file stay together, as they share
    what takes long to make."""
    if (seed := config.getoption("shuffle")) is None:
        return
    draw = random.Random(seed)
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    groups = list(files.values())
    draw.shuffle(groups)
    for group in groups:
        draw.shuffle(group)
    items[:] = [item for group in groups for item in group]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, and no cores taken from other tests."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def signals_heard() -> Iterator[None]:
    """Signals as in a terminal, here and in processes started here: a shell has background jobs
    ignore SIGINT, and `nohup` SIGHUP."""
    usual = {signal.SIGINT: signal.default_int_handler}
    usual |= dict.fromkeys((signal.SIGTERM, signal.SIGHUP), signal.SIG_DFL)
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole session: glyphs are drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(_cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The engine's cache, apart from the user's own."""
    monkeypatch.setenv("METACLI_CACHE", str(_cache_folder))
    return _cache_folder
