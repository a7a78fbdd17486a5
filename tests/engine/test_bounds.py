"""What a user can type or a file can claim is bounded by what the machine has, before work
starts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_runs
from small_runs import trained
from tiny_models import saved, tiny_model

from metacli.cli.app import main
from metacli.engine import machine
from metacli.engine.events import StepDone
from metacli.engine.machine import available_memory, require_memory
from metacli.engine.meta_train import meta_train
from metacli.engine.models.folder import load
from metacli.engine.storage.writer import MANIFEST, manifest_bytes
from metacli.engine.training import estimate
from metacli.engine.training.runs import Hooks
from metacli.errors import BundleError, RecipeError, RunFailed, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_step_beyond_the_memory_of_the_machine_is_refused_before_it_is_begun() -> None:
    with pytest.raises(
        RunFailed, match=r"a step of this recipe takes .* of memory or more"
    ) as caught:
        trained("run", "train.meta_batch=100000000")
    assert caught.value.code == "run.out_of_memory"
    assert "train.meta_batch" in (caught.value.hint or "")


def test_a_dry_run_prints_an_estimate_and_writes_nothing() -> None:
    found = trained("run", dry_run=True)
    assert not Path("run").exists()
    estimate = found["estimate"]
    assert estimate["memory_bytes"] > 10**7
    assert estimate["minutes"] == pytest.approx(12 * estimate["step_seconds"] / 60)
    assert estimate["whole"] is True


def test_the_steps_that_a_dry_run_measures_are_steps() -> None:
    """The loop asks whether to stop once more after a validation, which is no step."""
    found = trained("run", "evaluate.every=1", dry_run=True)
    assert found["estimate"]["step_seconds"] > 1e-4


@pytest.mark.parametrize("execution", ["compiled", "loop"])
def test_the_making_of_a_program_is_no_part_of_a_step(
    execution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    frozen = SimpleNamespace(process_time=lambda: clock[0], monotonic=lambda: clock[0])
    monkeypatch.setattr(estimate, "time", frozen)
    monkeypatch.setattr(estimate, "require_room", lambda *of: None)
    monkeypatch.setattr(estimate, "first_snapshot", lambda *of: SimpleNamespace(step=0))

    def train(begin: object, learned: object, device: object, hooks: Hooks) -> None:
        for step, seconds in enumerate([70.0, 3.0, 2.0, 4.0], 1):
            clock[0] += seconds
            hooks.report(StepDone(step, 60, {}))
            if hooks.stop():
                return

    run = SimpleNamespace(start=lambda: SimpleNamespace(learned=frozenset()), train=train)
    recipe = SimpleNamespace(train=SimpleNamespace(execution=execution, steps=60))
    workspace = SimpleNamespace(device="cpu", report=lambda event: None)
    found = estimate.estimated(SimpleNamespace(run=run, recipe=recipe, workspace=workspace))
    if execution == "compiled":
        assert (found.step_seconds, found.minutes, found.program_seconds) == (2.0, 2.0, 68.0)
    else:  # a first step of 70 s is one of 60
        assert (found.step_seconds, found.minutes, found.program_seconds) == (70.0, 70.0, None)
        assert "program_seconds" not in found.as_dict()


@pytest.mark.parametrize("seeds", [0, 100_000_000])
def test_too_many_seeds_are_refused(seeds: int) -> None:
    with pytest.raises(UsageProblem, match="--seeds wants 1 to 1000"):
        meta_train(small_runs.recipe(), seeds=seeds)


@pytest.mark.parametrize(
    "name", ["x" * 5000, "a, b", "no such, recipe", "x" * 5000 + ".yaml", "a\0b"]
)
def test_a_name_that_no_recipe_has_is_not_found(name: str) -> None:
    with pytest.raises(RecipeError) as caught:
        meta_train(name)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("words", [["predict", "x" * 5000, "y"], ["evaluate", "a, b/c"]])
def test_a_name_that_no_model_has_is_not_found(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 3
    assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"shape": [1, 60000, 60000]}, {"shape": [3, 4000, 4000]}])
def test_a_model_that_claims_huge_inputs_is_refused_without_memory(
    change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 2**30)
    monkeypatch.setattr("metacli.engine.models.probe.available_memory", lambda: 2**30)
    folder = Path(saved(tiny_model(features="mean"), Path("m")))
    files = {one.name: one.read_bytes() for one in folder.iterdir() if one.name != MANIFEST}
    document = json.loads(files["model.json"])
    document["input"] |= change
    files["model.json"] = json.dumps(document).encode()
    for name, content in {**files, MANIFEST: manifest_bytes(files)}.items():
        (folder / name).write_bytes(content)
    with pytest.raises(BundleError):
        load(folder)


def test_memory_is_what_the_system_the_group_and_the_limit_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info, group = tmp_path / "meminfo", tmp_path / "group"
    info.write_text("MemTotal: 4000 kB\nMemAvailable:    3000 kB\n")
    group.mkdir()
    monkeypatch.setattr(machine, "MEMORY", info)
    monkeypatch.setattr(machine, "GROUP", group)
    assert available_memory() == 3000 * 1024
    (group / "memory.max").write_text("max\n")
    assert available_memory() == 3000 * 1024
    (group / "memory.max").write_text("2000000\n")
    (group / "memory.current").write_text("500000\n")
    assert available_memory() == 1_500_000
    require_memory(1_500_000, "it", "less")
    with pytest.raises(
        RunFailed, match=r"it takes 1\.6 MB of memory or more, and 1\.5 MB are free"
    ):
        require_memory(1_600_000, "it", "less")
