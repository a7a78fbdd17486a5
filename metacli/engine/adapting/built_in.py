"""Sources of `adapt` that are always there: `photos` and `texts`, the pretrained encoders that are
installed with metacli, `intents`, what was meta-learned on one of them, the `columns` of a table,
and what a model has to beat, `pixels` and `ngrams`. A head is fitted to the examples. Or nothing is
fitted: `tables-prior`, a network that reads a table with its labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from metacli.data.catalogue.encoders import ENCODERS, SOURCES, PackagedEncoder
from metacli.data.catalogue.heads import HEAD_SOURCES
from metacli.data.plain import Record
from metacli.data.tables.fitting import fit_target
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.targets import target_numbers
from metacli.data.tables.text import HashedText
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.engine.adapting.feature_source import COLUMNS, column_source
from metacli.engine.adapting.reading import listing_of
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.tables.prior_source import IN_CONTEXT, TABLES_PRIOR, prior_source
from metacli.engine.encoders.parameters import with_encoder
from metacli.engine.encoders.pretrained import NETWORKS, pretrained
from metacli.engine.events import Reporter
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.learners import make_method
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.networks import make_problem
from metacli.engine.models.opening import Opened
from metacli.engine.storage.paths import cache_root
from metacli.errors import DataError
from metacli.nn.backbones.efficientnet_lite0 import SHORTER, SIZE
from metacli.nn.backbones.last_block import placed
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Params

PHOTOS = "photos"
TEXTS = "texts"
PIXELS = "pixels"
NGRAMS = "ngrams"
BOTH = "texts+ngrams"
INTENTS = "intents"
INTENTS_BOTH = "intents+ngrams"
PROJECTED = "photos+projection"
WORDS = "texts+words"
LAST_BLOCK = "photos+last-block"
METHODS = {
    PHOTOS: "ridge",
    TEXTS: "logistic",
    PIXELS: "ridge",
    NGRAMS: "logistic",
    BOTH: "logistic",
    INTENTS: "logistic",
    INTENTS_BOTH: "logistic",
    PROJECTED: "fine-tuned-prototype",
    WORDS: "setfit",
    LAST_BLOCK: "lp-ft",
    COLUMNS: "linear-probe",
    TABLES_PRIOR: IN_CONTEXT,
}
"""The head where none is asked for: each was at or above the others on examples that no result
comes from."""

POOL = 7  # pixels to a side of what is one number of `pixels`, 32 x 32 in all
NETWORK = "backbone."
PROTOTYPE = "prototype"


def is_built_in(name: str) -> bool:
    """Whether a word means one of these sources; a path of that name comes first."""
    return name in METHODS and not Path(name).exists()


def open_built_in(
    name: str, request: Request, spelled: HashedText | None = None
) -> Opened[FewShotModel]:
    """A source by its name, for the texts or columns of the task that is asked for.

    Args:
        spelled: `spelled_as` the task's texts, where it is known.
    """
    if name in (TEXTS, *HEAD_SOURCES):
        return for_target(text_source(name, static_of(name)), request)
    if name in SOURCES:
        return encoder_source(name, request.device, request.report)
    if name == PROJECTED:
        return projected_source(request.device, request.report)
    if name == LAST_BLOCK:
        return last_block_source(request.device, request.report)
    if name == WORDS:
        return words_source(request.device, request.report)
    if name == TABLES_PRIOR or (name == COLUMNS and request.method == IN_CONTEXT):
        return prior_source(request)
    if name == COLUMNS:
        return column_source(request)
    if name == PIXELS:
        return pixel_source(request.device)
    fitted = spelled_as(request) if spelled is None else spelled
    first = name.partition("+")[0]
    made = text_source(name, fitted if name == NGRAMS else JoinedText(static_of(first), fitted))
    return for_target(made, request)


def spelled_as(request: Request) -> HashedText:
    """n-grams, weighed by how rare they are among the task's texts."""
    return HashedText(sublinear=True).fit(support_texts(request))


def static_of(name: str) -> StaticText:
    """The embeddings of `texts`, or those under a head that comes with metacli."""
    head = HEAD_SOURCES.get(name)
    return StaticText(SOURCES[name].name) if head is None else StaticText(head.encoder, head.name)


def encoder_behind(name: str) -> PackagedEncoder | None:
    """The pretrained encoder that a source needs."""
    first = name.partition("+")[0]
    head = HEAD_SOURCES.get(first)
    return SOURCES.get(first) if head is None else ENCODERS[head.encoder]


def for_target(made: Opened[FewShotModel], request: Request) -> Opened[FewShotModel]:
    """The source for the numbers that the task's texts are to tell; as it is for classes."""
    content = listing_of(request).content
    if content is None or content.type == "classification":
        return made
    values = target_numbers(content.support, content.target)
    target = fit_target(content.target, values, content.unit)
    inputs = replace(made.model.inputs, target=target)
    return replace(made, model=replace(made.model, kind="regression", way=1, inputs=inputs))


def encoder_source(name: str, device: torch.device, report: Reporter) -> Opened[FewShotModel]:
    """The encoder as a model that is not adapted.

    Raises:
        EnvironmentProblem: it is not installed.
        DataError: its files are not those that are known.
    """
    encoder = SOURCES[name]
    recipe = recipe_of(name, {"name": encoder.name})
    inputs = InputSpec("image", (3, SIZE, SIZE), shorter=SHORTER)
    weights = pretrained(encoder.name, cache_root(), report)
    problem = make_problem(recipe, make_method(METHODS[name], {}), inputs, 2)
    params = {
        key: value.detach() if key.startswith("input.") else weights[key.removeprefix(NETWORK)]
        for key, value in problem.module.state_dict().items()
    }
    moved = {key: value.to(device) for key, value in params.items()}
    known = {"name": encoder.name, "digest": NETWORKS[encoder.name].digest}
    return opened(name, recipe, moved, inputs, {"encoder": known})


def projected_source(device: torch.device, report: Reporter) -> Opened[FewShotModel]:
    """`photos` under a projection that may be fine-tuned, and begins as the identity. Raises as
    `encoder_source`."""
    backbone: Record = {"name": "frozen", "encoder": SOURCES[PHOTOS].name}
    inputs = InputSpec("image", (3, SIZE, SIZE), shorter=SHORTER)
    return trained_source(PROJECTED, backbone, inputs, device, report)


def words_source(device: torch.device, report: Reporter) -> Opened[FewShotModel]:
    """`texts` with weights of the tokens and a projection that may be fine-tuned, and begin as
    their mean. Raises as `encoder_source`."""
    reader = TokenNumbers(SOURCES[TEXTS].name)
    backbone: Record = {"name": "words", "encoder": reader.encoder}
    inputs = InputSpec("text", (reader.width,), reader=reader.as_dict())
    return trained_source(WORDS, backbone, inputs, device, report)


def last_block_source(device: torch.device, report: Reporter) -> Opened[FewShotModel]:
    """`photos` whose last block may be fine-tuned. Raises as `encoder_source`."""
    encoder = SOURCES[PHOTOS].name
    recipe = recipe_of(LAST_BLOCK, {"name": "last-block", "network": encoder}, PROTOTYPE)
    inputs = InputSpec("image", (3, SIZE, SIZE), shorter=SHORTER)
    own = placed(pretrained(encoder, cache_root(), report))
    fresh = make_problem(recipe, make_method(PROTOTYPE, {}), inputs, 2).module.state_dict()
    params = {
        name: own.get(name.removeprefix(NETWORK), value.detach()).to(device)
        for name, value in fresh.items()
    }
    return opened(LAST_BLOCK, recipe, params, inputs, {})


def trained_source(
    name: str, backbone: Record, inputs: InputSpec, device: torch.device, report: Reporter
) -> Opened[FewShotModel]:
    """A network on a pretrained encoder as it is before any training."""
    recipe = recipe_of(name, backbone, PROTOTYPE)
    fresh = make_problem(recipe, make_method(PROTOTYPE, {}), inputs, 2).init(0)
    params = with_encoder(recipe, fresh, report)
    return opened(name, recipe, {key: one.to(device) for key, one in params.items()}, inputs, {})


def pixel_source(device: torch.device) -> Opened[FewShotModel]:
    """Small images, read as `photos` reads them, and no network."""
    recipe = recipe_of(PIXELS, {"name": "linear", "pool": POOL})
    inputs = InputSpec("image", (3, SIZE, SIZE), shorter=SHORTER)
    problem = make_problem(recipe, make_method(METHODS[PIXELS], {}), inputs, 2)
    state = problem.module.state_dict()
    params = {key: value.detach().to(device) for key, value in state.items()}
    return opened(PIXELS, recipe, params, inputs, {})


def text_source(name: str, encoder: StaticText | HashedText | JoinedText) -> Opened[FewShotModel]:
    """Features of texts and no network: embeddings of tokens, n-grams of words and of characters
    weighed by how rare they are among the task's texts, or both."""
    inputs = InputSpec("text", (encoder.width,), reader=encoder.as_dict())
    return opened(name, recipe_of(name, {"name": "linear"}), {}, inputs, {})


def opened(
    name: str, recipe: FewShotRecipe, params: Params, inputs: InputSpec, known: Record
) -> Opened[FewShotModel]:
    """A model that is not adapted and lies nowhere."""
    model = FewShotModel(
        recipe=recipe,
        params=params,
        state={},
        inputs=inputs,
        kind="classification",
        way=2,
        provenance={"recipe": name, **known},
    )
    return Opened(model, Path(name), None)


def recipe_of(name: str, backbone: Record, method: str = "") -> FewShotRecipe:
    """The recipe that a model needs to be made again; what is in it was trained elsewhere."""
    return FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": name},
            "episodes": {"way": 2, "shot": 1, "query": 1},
            "backbone": backbone,
            "algorithm": {"name": method or METHODS[name]},
            "train": {"steps": 1, "chunk": 1},
        }
    )


def support_texts(request: Request) -> list[str]:
    """The texts that a task is learned from. Raises DataError for a task without."""
    task = request.task
    listing = listing_of(request)
    if listing.kind != "text":
        raise DataError(
            f"{task} holds no texts, and `{NGRAMS}` are made of them",
            code="data.mismatch",
            where=str(task),
            hint="--input COLUMN names the column of the texts",
        )
    content = listing.tables
    return list(content.support.texts(content.roles.inputs[0]))
