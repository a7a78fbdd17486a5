"""The parameters of a pretrained encoder in a model folder: named by their hash, and kept once on a
machine for all of its models; inside the folder where it is to stand alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from metacli.algorithms.transfer.transfer import Transfer
from metacli.data.catalogue.encoders import ENCODERS, bring, file_of
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.static_text import StaticText
from metacli.engine.encoders.parameters import BACKBONE, encoder_of
from metacli.engine.encoders.pretrained import (
    FOLDER,
    NETWORKS,
    digest_of,
    kept,
    pretrained,
)
from metacli.engine.models.document import EncoderPart
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import AdaptedModel, AnyModel
from metacli.engine.storage.paths import cache_root
from metacli.engine.storage.serial import tensors_to_bytes
from metacli.engine.storage.writer import write_file
from metacli.errors import BundleError, EnvironmentProblem
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.recipe import Recipe
from metacli.trees import select
from metacli.types import Params

FETCHED = ("timm", "torchvision")  # backbones whose weights are those of others
HEX = re.compile(r"[0-9a-f]{64}")
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
    if encoder_of(model.recipe) is None:
        return fetched_encoder(model)
    return installed_encoder(model.recipe, model.params)


def installed_encoder(recipe: Recipe, params: Params) -> SharedEncoder | None:
    """The encoder of a recipe's network where the parameters are still those that are installed."""
    known = encoder_of(recipe)
    if known is None:
        return None
    name, prefix = known
    wanted = NETWORKS[name].digest
    same = digest_of(below(params, prefix)) == wanted
    return SharedEncoder(name, wanted, prefix) if same else None


def below(params: Params, prefix: str) -> Params:
    """Those whose names begin so, without it."""
    return {name.removeprefix(prefix): one for name, one in select(params, (prefix,)).items()}


def fetched_encoder(model: AnyModel) -> SharedEncoder | None:
    """A network of others under a head that left it as it was, kept in the cache by its content;
    None of any other model, or where the cache cannot be written to."""
    recipe = model.recipe
    if not isinstance(model, AdaptedModel) or not isinstance(recipe, FewShotRecipe):
        return None
    if recipe.backbone.name not in FETCHED:
        return None
    learner = model.learner()
    if not isinstance(learner, Transfer) or not learner.frozen:
        return None
    own = below(model.params, BACKBONE)
    found = SharedEncoder(str(recipe.backbone.options.get("arch")), digest_of(own), BACKBONE)
    path = kept_by_digest(found.digest)
    try:
        if not path.is_file():
            write_file(path, tensors_to_bytes(own))
    except EnvironmentProblem:
        return None
    return found


def kept_by_digest(digest: str) -> Path:
    """Where an encoder lies that was fetched. Raises ValueError: not a digest."""
    if HEX.fullmatch(digest) is None:
        raise ValueError(f"{digest[:80]!r} is not a SHA-256")
    return cache_root() / FOLDER / f"{digest}.safetensors"


def completed(params: Params, shared: SharedEncoder, where: str) -> Params:
    """The parameters of a model with those of its encoder, in the order of their names.

    Raises:
        BundleError: an encoder that this version does not have.
        EnvironmentProblem: neither in the cache nor installed.
        DataError: what is installed is another.
    """
    known = NETWORKS.get(shared.name)
    if known is None:
        found = fetched_before(shared, where)
    elif known.digest == shared.digest:
        found = pretrained(shared.name, cache_root())
    else:
        raise BundleError(
            f"this model was made on the encoder {shared.name} {shared.digest[:12]}..., which this "
            "metacli does not have",
            code="model.encoder",
            where=where,
            hint="install a newer metacli, or make the model with --standalone",
        )
    whole = {**params, **{shared.prefix + name: value for name, value in found.items()}}
    return {name: whole[name] for name in sorted(whole)}


def fetched_before(shared: SharedEncoder, where: str) -> Params:
    """The parameters that were kept when the model was made. Raises BundleError: not here, or
    damaged."""
    path = kept_by_digest(shared.digest)
    found = kept(path)
    if found is not None and digest_of(found) == shared.digest:
        return found
    what = "damaged" if path.exists() else "not on this machine"
    raise BundleError(
        f"this model stands on the encoder {shared.name} {shared.digest[:12]}..., which is {what}",
        code="model.encoder",
        where=where,
        hint=f"copy {path.name} into {path.parent}, or make the model again with --standalone",
    )


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
