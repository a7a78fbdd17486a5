"""`doctor`: versions, devices with one real forward and backward pass each, extras, the cache."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.extras import EXTRAS, install_line, missing, version_of
from metacli.engine.machine import available_memory
from metacli.engine.results.doctor import Cache, Device, DoctorResult, Extra
from metacli.engine.storage.paths import cache_root, require_device
from metacli.engine.training import journal
from metacli.errors import EnvironmentProblem, Finding
from metacli.nn.backbones.conv4 import Conv4

PACKAGES = ("torchvision", "numpy", "pillow", "safetensors", "pydantic")
CLOSE = 1e-2  # TF32 keeps ten bits, and this is a sum over four layers


def doctor(*, device: str = "auto", report: Reporter = ignore) -> DoctorResult:
    """Look at this machine; a missing extra comes with its install line and is no problem.

    Args:
        device: test this one only; `auto` tests all.

    Raises:
        EnvironmentProblem: the device that was asked for is not here.
    """
    problems: list[Finding] = []
    names = devices() if device == "auto" else [str(require_device(device))]
    tested = []
    for number, name in enumerate(names, 1):
        tested.append(tested_device(name, problems))
        report(Progress("testing devices", number, len(names), "devices"))
    extras = {name: extra(name) for name in EXTRAS}
    found = cache(problems)
    verdict: Literal["ready", "not ready"] = "not ready" if problems else "ready"
    return DoctorResult(versions(), tuple(tested), extras, found, tuple(problems), verdict)


def versions() -> dict[str, str]:
    found = {name: version_of(name) for name in PACKAGES}
    facts = {"system": f"{platform.system()} {platform.machine()}", "threads": threads()}
    return journal.versions() | {k: v for k, v in found.items() if v is not None} | facts


def threads() -> str:
    return f"{torch.get_num_threads()} of {os.cpu_count()} cores"


def devices() -> list[str]:
    """Every device of this machine that PyTorch can use."""
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *cuda, *mps]


def tested_device(name: str, problems: list[Finding]) -> Device:
    """One device: whether a network learns on it as it does on the CPU, and how long that took."""
    begin = time.perf_counter()
    try:
        error = disagreement(pass_on(torch.device(name)), pass_on(torch.device("cpu")))
    except RuntimeError as failure:  # what PyTorch raises for every fault of a device
        error = str(failure).partition("\n")[0]
    seconds = round(time.perf_counter() - begin, 3)
    model = torch.cuda.get_device_name(name) if name.startswith("cuda") else None
    if error is not None:
        message = f"device {name} does not work: {error}"
        problems.append(
            Finding("error", "environment.device", message, name, "--device cpu works around it")
        )
    free, total = memory_of(name)
    return Device(name, error is None, seconds, error, model, free, total)


def memory_of(name: str) -> tuple[int | None, int | None]:
    """Bytes that are free on a device, and all of them; None where it does not say."""
    if name == "cpu":
        return available_memory(), None
    if not name.startswith("cuda"):
        return None, None
    try:
        free, total = torch.cuda.mem_get_info(name)
    except RuntimeError:  # a device that does not work, which is said already
        return None, None
    return free, total


def pass_on(device: torch.device) -> torch.Tensor:
    """The loss and the gradient's norm of one forward and backward pass of Conv4, [2] float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, features = Conv4(width=16).build((1, 28, 28))
        x, y = torch.randn(10, 1, 28, 28), torch.arange(10) % 5
        head = torch.randn(5, features) / features**0.5
    network = network.to(device)
    loss = nn.functional.cross_entropy(network(x.to(device)) @ head.to(device).T, y.to(device))
    loss.backward()
    squares = [p.grad.square().sum() for p in network.parameters() if p.grad is not None]
    return torch.stack([loss.detach(), torch.stack(squares).sum().sqrt()]).cpu().double()


def disagreement(found: torch.Tensor, expected: torch.Tensor) -> str | None:
    if torch.allclose(found, expected, rtol=CLOSE):
        return None
    return f"loss and gradient norm are {found.tolist()}, on the CPU {expected.tolist()}"


def extra(name: str) -> Extra:
    if gone := missing(name):
        return Extra(present=False, missing=", ".join(gone), install=install_line(name))
    return Extra(present=True, version=version_of(EXTRAS[name][0]))


def cache(problems: list[Finding]) -> Cache:
    """Where the cache is and how large; the folder is not made."""
    try:
        root = cache_root()
    except EnvironmentProblem as error:
        problems.append(Finding("error", error.code, error.message, None, error.hint))
        return Cache(None, None, writable=False)
    writable = is_writable(root)
    if not writable:
        hint = "set METACLI_CACHE to a folder that can be written"
        message = "the cache cannot be written"
        problems.append(Finding("error", "environment.cache", message, str(root), hint))
    return Cache(str(root), size_of(root), writable)


def is_writable(folder: Path) -> bool:
    """Whether the folder, or the nearest one above that exists, takes new files."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(base) / name).lstat().st_size
            except OSError:
                continue
    return total
