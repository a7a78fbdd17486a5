"""The heads that come with metacli, made again.

    METACLI_MIRROR=DIR python benchmarks/heads.py intents # into data/catalogue/trained_heads
    METACLI_MIRROR=... python benchmarks/heads.py intents 2 FILE  # of another division, to measure

`intents`: weights of tokens and a projection on wordllama, by ProtoNet on CLINC150: the training
and validation intents of a division, their texts of the training part alone. Episodes are as
`SETTINGS` says; the settings were chosen as `protocols/encoders.md` says. Prints the SHA-256 that
`heads.py` of the catalogue has to know. A quarter of a minute of processor time on one thread.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from own_data import clinc, shared
from safetensors.numpy import save

from metacli.algorithms.meta.protonet import ProtoNet
from metacli.data.catalogue import heads
from metacli.data.tables.static_text import DOWN, UP, WEIGHTS
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.engine.encoders.pretrained import pretrained
from metacli.engine.storage.paths import cache_root
from metacli.nn.backbones.words import Words
from metacli.nn.problem import Problem, make_module
from metacli.types import Batch, Episode, Params

FOLDER = Path(heads.__file__).parent / heads.FOLDER
LENGTH = 48  # tokens; no request has more
TABLE = "backbone.encoder.table"


@dataclass(frozen=True)
class Settings:
    """Args:
    token_rate: the rate of the tokens' weights in multiples of `lr`.
    """

    steps: int
    way: int = 30
    shot: int = 5
    query: int = 5
    lr: float = 1e-3
    token_rate: float = 10.0
    rank: int = 64
    scale: float = 4.0


SETTINGS = Settings(steps=200)


def intents(division: int, parts: tuple[str, ...] = ("train", "valid")) -> list[list[str]]:
    """Texts of the training part of each intent to learn from."""
    lists = json.loads((shared("clinc150") / "class_splits.json").read_text())
    texts = clinc()
    names = sorted(name for part in parts for name in lists[f"{division:02}"][part])
    return [texts["train", name] for name in names]


def learned(classes: list[list[str]], settings: Settings, seed: int = 0) -> Params:
    """The parameters of the backbone `words` after meta-training, without its table."""
    reader = TokenNumbers(length=LENGTH)
    x = [torch.from_numpy(reader.encode(texts)) for texts in classes]
    module, width = Words(rank=settings.rank, scale=settings.scale).build((LENGTH,))
    problem = Problem(make_module(torch.nn.Identity(), module), width, "classification", None)
    table = pretrained("wordllama", cache_root())["table"]
    params = {**problem.init(seed), TABLE: table}
    learner, rng = ProtoNet(), np.random.default_rng(seed)
    free = {name: params[name].requires_grad_() for name in problem.trainable}
    rates = {n: settings.lr * (settings.token_rate if "log_weight" in n else 1) for n in free}
    optimizer = torch.optim.Adam([{"params": [v], "lr": rates[n]} for n, v in free.items()])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for _ in range(settings.steps):
        batch = episode(x, settings, rng)
        update = learner.direction(problem, {**params, **detached(free)}, batch, {}, generator())
        for name, value in free.items():
            value.grad = update.direction[name]
        optimizer.step()
        schedule.step()
    return {name.removeprefix("backbone."): value for name, value in detached(free).items()}


def episode(x: list[torch.Tensor], settings: Settings, rng: np.random.Generator) -> Episode:
    """A meta-batch of one."""
    chosen = rng.choice(len(x), settings.way, replace=False)
    halves: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for number in chosen:
        rows = rng.permutation(len(x[number]))[: settings.shot + settings.query]
        halves[0].append(x[number][rows[: settings.shot]])
        halves[1].append(x[number][rows[settings.shot :]])
    sizes = (settings.shot, settings.query)
    return Episode(
        *(
            Batch(
                torch.cat(half)[None],
                torch.arange(settings.way).repeat_interleave(size)[None],
            )
            for half, size in zip(halves, sizes, strict=True)
        )
    )


def detached(params: Params) -> Params:
    return {name: value.detach() for name, value in params.items()}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def packed(params: Params) -> bytes:
    """The file, in half precision."""
    found = {
        WEIGHTS: params["log_weight"],
        DOWN: params["projection.down"],
        UP: params["projection.up"],
    }
    return save({name: value.half().numpy() for name, value in found.items()})


def main(name: str, division: int = 1, file: str | None = None) -> None:
    assert name == "intents"
    begin = time.process_time()
    content = packed(learned(intents(division), SETTINGS))
    path = FOLDER / "intents-1.safetensors" if file is None else Path(file)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    seconds = time.process_time() - begin
    print(f"{path}: {len(content)} bytes, {hashlib.sha256(content).hexdigest()}, {seconds:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1], *(int(one) for one in sys.argv[2:3]), *sys.argv[3:4])
