"""Runs that are trained once for all tests of the engine; tests that change one copy it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_runs
import torch

from metacli.engine.adapting import one_task


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, one_thread: None
) -> Path:
    """An empty current folder, with the tests' cache and one thread."""
    folder = tmp_path / "workplace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def _train_once(folder: Path, cache: Path, *overrides: str, **options: Any) -> Path:
    here, threads = Path.cwd(), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METACLI_CACHE", str(cache))
        patch.chdir(folder)
        small_runs.trained("run", *overrides, **options)
    torch.set_num_threads(threads)
    os.chdir(here)
    return folder / "run"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, _cache_folder: Path) -> Iterator[Path]:
    """A ProtoNet run of 12 steps, validated at 4, 8 and 12. Not to be changed."""
    run = _train_once(tmp_path_factory.mktemp("finished"), _cache_folder)
    before = small_runs.tree(run)
    yield run
    assert small_runs.tree(run) == before, "a test changed the run that all tests share"


@pytest.fixture(scope="session")
def fixed_head(tmp_path_factory: pytest.TempPathFactory, _cache_folder: Path) -> Path:
    """A MAML run with a head of 3 classes and batch statistics. Not to be changed."""
    folder = tmp_path_factory.mktemp("fixed_head")
    overrides = (*small_runs.FIXED_HEAD, "backbone.norm=batch", "train.steps=4")
    return _train_once(folder, _cache_folder, *overrides)


@pytest.fixture
def default_source() -> None:
    """For tests of the comparison with what `adapt` chooses by itself."""


@pytest.fixture(autouse=True)
def _no_default_source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everywhere else it would run a large network on the images of every test."""
    if "default_source" not in request.fixturenames:
        monkeypatch.setattr(one_task, "better_source", lambda *given: None)
