"""`doctor` tells what is there, what is missing, and what does not work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metacli.engine import doctor as module
from metacli.engine import extras
from metacli.engine.doctor import doctor
from metacli.errors import EnvironmentProblem, UsageProblem


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("METACLI_CACHE", str(folder))
    return folder


def test_a_working_cpu_is_ready(cache: Path) -> None:
    cache.mkdir()
    (cache / "one").write_bytes(b"12345")
    (cache / "two").mkdir()
    (cache / "two" / "three").write_bytes(b"678")
    result = doctor(device="cpu")
    assert result["verdict"] == "ready"
    assert [(one["name"], one["ok"], one["error"]) for one in result["devices"]] == [
        ("cpu", True, None)
    ]
    assert result["versions"]["torch"] == torch.__version__
    assert result["cache"] == {"path": str(cache), "bytes": 8, "writable": True}


def test_the_cache_is_not_made_by_looking_at_it(cache: Path) -> None:
    assert doctor(device="cpu")["cache"]["writable"]
    assert not cache.exists()


def test_a_missing_extra_is_no_problem_and_reported_with_its_install_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    result = doctor(device="cpu")
    assert result["extras"]["onnx"]["present"] is False
    assert result["extras"]["onnx"]["install"] == "pip install 'metacli[onnx]'"
    assert result["verdict"] == "ready"


def fails(device: torch.device) -> torch.Tensor:
    raise RuntimeError("no kernel image\nwith a long explanation")


def miscomputes(device: torch.device) -> torch.Tensor:
    return torch.tensor([9.0, float("nan")]).double()


@pytest.mark.parametrize(("broken", "words"), [(fails, "no kernel image"), (miscomputes, "nan")])
def test_a_device_that_fails_or_computes_something_else_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, broken: Callable[..., torch.Tensor], words: str
) -> None:
    once = iter([broken])  # the device under test comes first, then the CPU it is compared with
    real = module.pass_on
    monkeypatch.setattr(module, "pass_on", lambda device: next(once, real)(device))
    result = doctor(device="cpu")
    assert result["verdict"] == "not ready"
    assert result["devices"][0]["ok"] is False
    assert words in result["problems"][0]["message"]
    assert "explanation" not in result["problems"][0]["message"]


def test_a_cache_that_cannot_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "file" / "cache"))
    result = doctor(device="cpu")
    assert result["cache"]["writable"] is False
    assert "METACLI_CACHE" in result["problems"][0]["hint"]


def test_a_missing_home_is_a_problem_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise EnvironmentProblem("no home folder for the cache", code="environment.no_cache")

    monkeypatch.setattr(module, "cache_root", nowhere)
    result = doctor(device="cpu")
    assert result["cache"]["path"] is None
    assert [one["code"] for one in result["problems"]] == ["environment.no_cache"]


def test_a_device_that_is_not_here_was_asked_for() -> None:
    with pytest.raises(EnvironmentProblem, match="not on this machine"):
        doctor(device="cuda:77")
    with pytest.raises(UsageProblem):
        doctor(device="toaster")


def test_the_pass_is_the_same_every_time_and_leaves_the_random_state() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (module.pass_on(torch.device("cpu")) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first[1] > 0
