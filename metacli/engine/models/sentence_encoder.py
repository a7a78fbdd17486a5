"""The sentence-transformers model that reads a model's texts, inside the folder of a model that
stands alone: one zip file, as a model folder has no folders. It is unpacked into the cache once, by
its hash, since that library opens folders. Weights are safetensors; a pickle or code is neither
packed nor unpacked.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from metacli.data.cache.networks import KEPT, WEIGHTS
from metacli.data.cache.store import locked, replacing
from metacli.data.tables.text import SentenceText, know_sentence_model, load_sentence_model
from metacli.engine.encoders.pretrained import FOLDER
from metacli.engine.models.inputs import InputSpec
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.paths import cache_root
from metacli.errors import BundleError

ARCHIVE = "sentence-encoder.zip"
MODULES = "modules.json"


def files_of(encoder: SentenceText) -> dict[str, bytes]:
    """The files of its model, by their paths below its folder.

    Raises:
        EnvironmentProblem: as `load_sentence_model`.
        BundleError: weights that are no safetensors.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        load_sentence_model(encoder.key).save_pretrained(place, create_model_card=False)
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        found = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in paths
            if path.suffix in KEPT
        }
    if MODULES not in found or not any(name.endswith(WEIGHTS) for name in found):
        raise BundleError(
            f"the sentence encoder {encoder.model} cannot be written as safetensors",
            code="weights.unreadable",
            where=encoder.model,
            hint="leave out --standalone",
        )
    return found


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip file of these, whose bytes depend on nothing else."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return made.getvalue()


def standing_alone(inputs: InputSpec) -> tuple[InputSpec, dict[str, bytes]]:
    """The same input with its encoder known by what is brought along, and the file that is."""
    encoder = inputs.encoder
    if not isinstance(encoder, SentenceText):
        return inputs, {}
    data = packed(files_of(encoder))
    named = replace(encoder, digest=hashlib.sha256(data).hexdigest())
    return replace(inputs, reader=named.as_dict()), {ARCHIVE: data}


def know_brought(inputs: InputSpec, files: Mapping[str, bytes], where: Path) -> None:
    """Makes the encoder that a folder brought along known.

    Raises:
        BundleError: it is missing, another one, or not what `packed` writes.
        EnvironmentProblem: the cache cannot be written.
    """
    encoder = inputs.encoder
    if not isinstance(encoder, SentenceText) or not encoder.digest:
        return
    data = files.get(ARCHIVE)
    if data is None or hashlib.sha256(data).hexdigest() != encoder.digest:
        what = "is missing" if data is None else "is not the encoder that the model names"
        raise damaged(where / ARCHIVE, what)
    know_sentence_model(encoder.key, unpacked(data, encoder.digest, where / ARCHIVE))


def unpacked(data: bytes, digest: str, where: Path) -> Path:
    """The folder in the cache with these files, written where it is not there or has changed."""
    files = members(data, where)
    name = f"sentence-{digest}"
    folder = cache_root() / FOLDER / name
    with locked(cache_root() / FOLDER, name):
        if not all(is_kept(folder / one, content) for one, content in files.items()):
            with replacing(folder, len(data)) as fresh:
                for one, content in files.items():
                    (fresh / one).parent.mkdir(parents=True, exist_ok=True)
                    (fresh / one).write_bytes(content)
    return folder


def is_kept(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def members(data: bytes, where: Path) -> dict[str, bytes]:
    """The files of the archive. Raises BundleError: names that lead elsewhere, or no model."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            parts = [PurePosixPath(one) for one in names]
            if MODULES not in names or any(
                one.is_absolute() or ".." in one.parts or "\\" in str(one) or one.suffix not in KEPT
                for one in parts
            ):
                raise damaged(where, "is not a sentence-transformers model")
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise damaged(where, f"is not what metacli writes: {error}") from None
