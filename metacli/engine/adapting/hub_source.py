"""A network of the hub as the source of `adapt`: one that `metacli fetch` brought, or a local
folder of the same layout. Nothing is downloaded here, and no code of a folder is run.

A folder with `modules.json` is a sentence-transformers model; one whose `config.json` names an
`architecture` is a network of timm. Weights are safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import torch
from torch import Tensor

from metacli.data.cache.networks import is_hub_name, required_model
from metacli.data.plain import Plain, Record, number_in, numbers_in
from metacli.data.tables.text import SentenceText, know_sentence_model
from metacli.engine.adapting.built_in import for_target, recipe_of
from metacli.engine.adapting.request import Request
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.learners import make_method
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.networks import make_problem
from metacli.engine.models.opening import Opened
from metacli.engine.storage.paths import cache_root
from metacli.engine.storage.serial import bytes_to_tensors
from metacli.errors import BundleError

METHOD = "logistic"
CROP = 0.875  # of the shorter side, where the settings do not say
CONFIG, MODULES, WEIGHTS = "config.json", "modules.json", "model.safetensors"
LARGEST = 1024  # pixels of a side


def is_hub_source(name: str) -> bool:
    """Whether a word names a network of the hub or a folder with one."""
    folder = Path(name)
    if folder.is_dir():
        return (folder / MODULES).is_file() or "architecture" in settings_of(folder)
    return is_hub_name(name)


def hub_source_for(name: str, request: Request) -> Opened[FewShotModel]:
    """The network for the classes, or the numbers, that the task's texts are to tell. Raises as
    `open_hub_source`."""
    return for_target(open_hub_source(name, request.device), request)


def open_hub_source(name: str, device: torch.device) -> Opened[FewShotModel]:
    """The network as a model that is not adapted.

    Raises:
        BundleError: not fetched yet, or nothing that is read here.
        EnvironmentProblem: an extra is missing.
    """
    local = Path(name).is_dir()
    folder = Path(name) if local else required_model(name, cache_root()).path
    known = str(folder.absolute()) if local else name.partition("@")[0]
    made = texts(known, folder) if (folder / MODULES).is_file() else images(known, folder, device)
    return Opened(made, Path(name), None)


def texts(name: str, folder: Path) -> FewShotModel:
    """A sentence-transformers model: it reads the texts, and there is no network beside it."""
    know_sentence_model(name, folder)
    encoder = SentenceText(name).fit(["a"])
    inputs = InputSpec("text", (encoder.width,), reader=encoder.as_dict())
    return model_of(name, {"name": "linear"}, {}, inputs, folder)


def images(name: str, folder: Path, device: torch.device) -> FewShotModel:
    """A network of timm with its weights."""
    settings = settings_of(folder)
    arch, cfg = settings.get("architecture"), settings.get("pretrained_cfg") or {}
    if not isinstance(arch, str) or not isinstance(cfg, dict):
        raise BundleError(
            "neither a network of timm nor a sentence-transformers model",
            code="weights.unknown",
            where=str(folder),
            hint="config.json names the architecture, modules.json the modules of a text model",
        )
    inputs, options = looks_at(cfg, str(folder))
    backbone: dict[str, Plain] = {"name": "timm", "arch": arch, **options}
    problem = make_problem(recipe_of(name, backbone, METHOD), make_method(METHOD, {}), inputs, 2)
    weights = weights_of(folder)
    params: dict[str, Tensor] = {}
    for key, fresh in problem.module.state_dict().items():
        own = key.removeprefix("backbone.network.")
        given = weights.get(own) if own != key else fresh
        if given is None or given.shape != fresh.shape:
            raise BundleError(
                f"the weights are not of {arch}: {own} "
                + ("is missing" if given is None else "has another shape"),
                code="weights.mismatch",
                where=str(folder / WEIGHTS),
                hint="pip install --upgrade timm; the weights may be of another version of it",
            )
        params[key] = given.detach().float().to(device)
    wide: dict[str, Plain] = {**backbone, "width": problem.features}
    return model_of(name, wide, params, inputs, folder)


def looks_at(cfg: Record, where: str) -> tuple[InputSpec, dict[str, Plain]]:
    """What images the network wants, and the options of its backbone. Raises BundleError."""
    try:
        size = numbers_in(cfg, "input_size") if cfg.get("input_size") else (3, 224, 224)
        channels, height, width = (int(one) for one in size)
        crop = number_in(cfg, "crop_pct") if cfg.get("crop_pct") else CROP
        found = {key: numbers_in(cfg, key) for key in ("mean", "std") if cfg.get(key)}
        right = channels == 3 and 1 <= max(height, width) <= LARGEST and 0.1 <= crop <= 1
        if not right or any(len(one) != 3 for one in found.values()):
            raise ValueError(f"images of {channels} x {height} x {width} pixels, {crop} of them")
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"{CONFIG} is not what timm writes: {error}", code="weights.unknown", where=where
        ) from None
    shorter = max(height, width, math.floor(min(height, width) / crop))
    return InputSpec("image", (3, height, width), shorter=shorter), {**found}


def weights_of(folder: Path) -> dict[str, Tensor]:
    """Raises BundleError: there are none, or a pickle."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise BundleError(
            f"there is no {WEIGHTS}",
            code="weights.unreadable",
            where=str(folder),
            hint="pickles are not read; fetch a commit with safetensors",
        )
    return bytes_to_tensors(path.read_bytes(), str(path))


def settings_of(folder: Path) -> dict[str, Plain]:
    """`config.json`; {} where there is none that can be read."""
    try:
        found = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def model_of(
    name: str,
    backbone: dict[str, Plain],
    params: dict[str, Tensor],
    inputs: InputSpec,
    folder: Path,
) -> FewShotModel:
    """The model; its weights are known by the hash of their file."""
    path = folder / WEIGHTS
    known = {"file": path.name}
    if path.is_file():
        known["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return FewShotModel(
        recipe=recipe_of(name, backbone, METHOD),
        params=params,
        state={},
        inputs=inputs,
        kind="classification",
        way=2,
        provenance={"recipe": name, "weights": known},
    )
