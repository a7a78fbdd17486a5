"""The parameters of a pretrained encoder in a model folder: named by their hash, and kept once on a
machine for all of its models; inside the folder where it is to stand alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from metacli.data.catalogue.encoders import ENCODERS, bring, file_of
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.static_text import StaticText
from metacli.engine.encoders.parameters import encoder_of
from metacli.engine.encoders.pretrained import NETWORKS, digest_of, pretrained
from metacli.engine.models.document import EncoderPart
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import AnyModel
from metacli.engine.storage.paths import cache_root
from metacli.errors import BundleError
from metacli.trees import select
from metacli.types import Params

BROUGHT = "encoder-"  # how files begin that a standalone model brings along


@dataclass(frozen=True)
class SharedEncoder:
    """An encoder that a model has as it was installed.

    Args:
        name: in the registry. digest: `digest_of` its parameters.
        prefix: before their names among those of the model.
    """

    name: str
    digest: str
    prefix: str

    def as_dict(self) -> dict[str, str]:
        return dict(vars(self))

    @classmethod
    def of(cls, part: EncoderPart) -> SharedEncoder:
        return cls(part.name, part.digest, part.prefix)

    def names(self, params: Params) -> frozenset[str]:
        """Those of its parameters among a model's."""
        return frozenset(name for name in params if name.startswith(self.prefix))


def shared_encoder(model: AnyModel) -> SharedEncoder | None:
    """The encoder of a model whose parameters are still those that are installed; None where it has
    none, or was trained on."""
    known = encoder_of(model.recipe)
    if known is None:
        return None
    name, prefix = known
    own = {
        key.removeprefix(prefix): value for key, value in select(model.params, (prefix,)).items()
    }
    wanted = NETWORKS[name].digest
    return SharedEncoder(name, wanted, prefix) if digest_of(own) == wanted else None


def completed(params: Params, shared: SharedEncoder, where: str) -> Params:
    """The parameters of a model with those of its encoder, in the order of their names.

    Raises:
        BundleError: an encoder that this version does not have.
        EnvironmentProblem: neither in the cache nor installed.
        DataError: what is installed is another.
    """
    known = NETWORKS.get(shared.name)
    if known is None or known.digest != shared.digest:
        raise BundleError(
            f"this model was made on the encoder {shared.name} {shared.digest[:12]}..., which this "
            "metacli does not have",
            code="model.encoder",
            where=where,
            hint="pip install --upgrade metacli, or make the model with --standalone",
        )
    found = pretrained(shared.name, cache_root())
    whole = {**params, **{shared.prefix + name: value for name, value in found.items()}}
    return {name: whole[name] for name in sorted(whole)}


def files_of_encoders(inputs: InputSpec) -> dict[str, bytes]:
    """The files that make numbers of a model's texts, by the name that they have beside it."""
    encoder = inputs.encoder
    static = encoder.static if isinstance(encoder, JoinedText) else encoder
    if not isinstance(static, StaticText):
        return {}
    known = ENCODERS[static.encoder]
    return {
        f"{BROUGHT}{known.name}-{role}": file_of(known, role).read_bytes() for role in known.files
    }


def bring_along(files: Iterable[str], folder: Path) -> None:
    """Makes the encoder files of a standalone model known, which count by their content."""
    for name in files:
        if name.startswith(BROUGHT):
            bring(folder / name)
