"""A network of others as the source of `adapt`: a torchvision name whose weights were fetched, or a
local safetensors file. Nothing is downloaded here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from pydantic import JsonValue

from metacli.data.catalogue.registry import DATASETS
from metacli.data.catalogue.weights import fetched_weights
from metacli.data.plain import Record
from metacli.engine.events import Reporter
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.learners import make_method
from metacli.engine.models.model import AnyModel, FewShotModel
from metacli.engine.models.networks import make_problem
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.storage.paths import cache_root
from metacli.errors import BundleError, DataError, RecipeError, UsageProblem
from metacli.nn.backbones.torchvision_backbones import Arch, arch_of
from metacli.nn.backbones.torchvision_backbones import read as read_weights
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.yaml import read_value

METHOD = "linear-probe"  # how a network is adapted that does not adapt by itself
SIZE, SMALLEST = 224, 32
ARCHS: tuple[str, ...] = get_args(Arch)
KEYS = ("backbone.arch", "data.size")


def open_source(
    name: str, options: Record, device: torch.device, report: Reporter
) -> Opened[AnyModel]:
    """What MODEL names: a model or run on disk, a file of weights, or a network of torchvision.

    Raises:
        BundleError: none of them, damaged, or weights that were not fetched.
    """
    path = Path(name)
    if path.is_file() and path.suffix != ".jsonl":
        return of_file(path, options, device)
    if name in ARCHS and not path.exists():
        return of_name(name, options, device)
    return open_model(name, device, report)


def is_backbone(opened: Opened[AnyModel]) -> bool:
    return "weights" in opened.model.provenance


def backbone_options(overrides: Sequence[str]) -> tuple[dict[str, JsonValue], list[str]]:
    """(`backbone.arch` and `data.size`, the overrides that are for the transfer method)."""
    options: dict[str, JsonValue] = {}
    others: list[str] = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if key in KEYS and equals:
            options[key] = read_value(value, "command line")
        else:
            others.append(text)
    return options, others


def of_name(arch: str, options: Record, device: torch.device) -> Opened[AnyModel]:
    """Raises BundleError for weights that are not in the cache."""
    if arch not in DATASETS:
        known = ", ".join(name for name, one in DATASETS.items() if one.kind == "weights")
        raise BundleError(
            f"there are no weights of {arch} to fetch, only of {known}",
            code="weights.unknown",
            where=arch,
            hint=f"metacli adapt weights.safetensors TASK backbone.arch={arch} takes your own",
        )
    try:
        path = fetched_weights(arch, cache_root())
    except DataError as error:
        raise BundleError(
            f"the weights of {arch} have not been fetched yet"
            if error.code == "data.not_fetched"
            else error.message,
            code="weights.not_fetched",
            where=error.where,
            hint=error.hint,
        ) from None
    return opened(arch, path, options, device)


def of_file(path: Path, options: Record, device: torch.device) -> Opened[AnyModel]:
    """Raises BundleError for a file that holds no weights of a known network."""
    try:
        tensors = read_weights(str(path))
    except RecipeError as error:
        raise BundleError(
            error.message, code="weights.unreadable", where=str(path), hint=error.hint
        ) from None
    arch = options.get("backbone.arch") or arch_of(tensors)
    if arch not in ARCHS:
        what = "these weights are of none of the networks" if arch is None else f"no network {arch}"
        raise BundleError(
            f"{what} that metacli knows: {', '.join(ARCHS)}",
            code="weights.unknown",
            where=str(path),
            hint="torchvision's names of the parameters are expected",
        )
    return opened(str(arch), path, options, device)


def opened(arch: str, path: Path, options: Record, device: torch.device) -> Opened[AnyModel]:
    """The network with its weights as a model that is not adapted."""
    size = options.get("data.size", SIZE)
    if type(size) is not int or not SMALLEST <= size <= 1024:
        raise UsageProblem(f"data.size is {size!r}; wanted {SMALLEST} to 1024 pixels")
    recipe = recipe_of(arch, size, str(path.absolute()))
    inputs = InputSpec("image", (3, size, size))
    problem = make_problem(recipe, make_method(METHOD, {}), inputs, 2)
    try:
        params = problem.init(0)
    except RecipeError as error:
        raise BundleError(
            error.message, code="weights.mismatch", where=str(path), hint=error.hint
        ) from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    model = FewShotModel(
        recipe=recipe_of(arch, size, None),  # its weights go along with the model
        params={name: value.to(device) for name, value in params.items()},
        state={},
        inputs=inputs,
        kind="classification",
        way=2,
        provenance={"recipe": arch, "weights": {"file": path.name, "sha256": digest}},
    )
    return Opened(model, path.absolute(), None)


def recipe_of(arch: str, size: int, weights: str | None) -> FewShotRecipe:
    """The recipe that a model needs to be made again; it was trained elsewhere."""
    backbone = {"name": "torchvision", "arch": arch, "weights": weights, "norm": "frozen"}
    return FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": arch, "size": size},
            "episodes": {"way": 2, "shot": 1, "query": 1},
            "backbone": backbone,
            "algorithm": {"name": METHOD},
            "train": {"steps": 1, "chunk": 1},
        }
    )
