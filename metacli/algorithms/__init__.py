"""The table of algorithms: name -> where it lives, its preset fields, one line about it.

Adding one is a file, a line here and a test. Nothing is imported until it is looked up. A preset
is a field that the name stands for (`fomaml` is `MAML` with `first_order=True`); a recipe may not
override it.
"""

from __future__ import annotations

from metacli.algorithms.entry import Entry, Family, FieldValue
from metacli.plugins import target

__all__ = ["ALGORITHMS", "Entry", "Family", "FieldValue", "canonical", "find", "names", "plugin"]

ALGORITHMS: dict[str, Entry] = {
    "maml": Entry(
        "meta", "meta.maml", "MAML", "learn an initialisation that a few gradient steps adapt"
    ),
    "fomaml": Entry(
        "meta", "meta.maml", "MAML", "MAML with inner gradients as constants", {"first_order": True}
    ),
    "anil": Entry(
        "meta", "meta.maml", "MAML", "MAML that adapts the head alone", {"adapts": ("head.",)}
    ),
    "boil": Entry(
        "meta",
        "meta.maml",
        "MAML",
        "MAML that adapts everything but the head",
        {"adapts": ("backbone.",)},
    ),
    "meta-sgd": Entry(
        "meta",
        "meta.meta_sgd",
        "MetaSGD",
        "MAML with a learned inner rate for every parameter",
        aliases=("meta_sgd",),
    ),
    "maml-plus-plus": Entry(
        "meta",
        "meta.maml_plus_plus",
        "MAMLPlusPlus",
        "MAML with the loss of every step and learned inner rates for each",
        aliases=("maml_plus_plus",),
    ),
    "metacurvature": Entry(
        "meta", "meta.metacurvature", "MetaCurvature", "MAML with learned matrices on its gradients"
    ),
    "maml-adam": Entry(
        "meta", "meta.maml_adam", "MAMLAdam", "MAML with inner steps of Adam, differentiated"
    ),
    "cavia": Entry(
        "meta", "meta.cavia", "CAVIA", "adapt a few context numbers, share the whole network"
    ),
    "imaml": Entry(
        "meta", "meta.imaml", "IMAML", "MAML tied to its start, with the gradient at the optimum"
    ),
    "reptile": Entry(
        "meta", "meta.reptile", "Reptile", "move the initialisation to where training on a task led"
    ),
    "protonet": Entry(
        "meta", "meta.protonet", "ProtoNet", "classify by the nearest class mean in feature space"
    ),
    "pmf": Entry(
        "meta", "meta.pmf", "PMF", "ProtoNet whose network is fine-tuned on each support, augmented"
    ),
    "r2d2": Entry(
        "meta", "meta.r2d2", "R2D2", "ridge regression on the features, solved and trained through"
    ),
    "relationnet": Entry(
        "meta", "meta.relationnet", "RelationNet", "learn how to compare features, too"
    ),
    "matchingnet": Entry(
        "meta", "meta.matchingnet", "MatchingNet", "read the label off the support by attention"
    ),
    "tables-prior": Entry(
        "meta",
        "meta.tables_prior",
        "TablesPrior",
        "train the network of `tables-prior` further on your own tables",
    ),
    "pretrain": Entry(
        "meta", "meta.pretrain", "Pretrain", "one classifier of all classes, then a simple head"
    ),
    "joint": Entry(
        "meta", "meta.joint", "Joint", "one model of all tasks, fine-tuned on each: MAML's baseline"
    ),
    "equal": Entry(
        "multitask",
        "multitask.weighting.equal",
        "Equal",
        "the mean of the losses: what the others have to beat",
    ),
    "fixed": Entry("multitask", "multitask.weighting.fixed", "Fixed", "weights given by hand"),
    "log": Entry(
        "multitask",
        "multitask.weighting.log",
        "Log",
        "the mean of the losses' logarithms: scales do not matter",
    ),
    "uncertainty": Entry(
        "multitask", "multitask.weighting.uncertainty", "Uncertainty", "learned precisions"
    ),
    "dwa": Entry(
        "multitask", "multitask.weighting.dwa", "DWA", "weight by how slowly a loss falls"
    ),
    "rlw": Entry("multitask", "multitask.weighting.rlw", "RLW", "random weights in every step"),
    "gls": Entry("multitask", "multitask.weighting.gls", "GLS", "the geometric mean of the losses"),
    "stch": Entry(
        "multitask", "multitask.weighting.stch", "STCH", "the largest relative loss, smoothly"
    ),
    "gradnorm": Entry(
        "multitask",
        "multitask.weighting.gradnorm",
        "GradNorm",
        "gradients of similar length, tasks of similar pace",
    ),
    "famo": Entry(
        "multitask",
        "multitask.weighting.famo",
        "FAMO",
        "raise the weight of the task that improved least",
    ),
    "auto-lambda": Entry(
        "multitask",
        "multitask.weighting.auto_lambda",
        "AutoLambda",
        "weights, or a matrix of them, that follow the loss on validation rows",
        aliases=("meta",),
    ),
    "mgda": Entry(
        "multitask",
        "multitask.surgery.mgda",
        "MGDA",
        "the shortest vector in the hull of the gradients",
    ),
    "pcgrad": Entry(
        "multitask", "multitask.surgery.pcgrad", "PCGrad", "project conflicting gradients"
    ),
    "cagrad": Entry(
        "multitask",
        "multitask.surgery.cagrad",
        "CAGrad",
        "near the mean gradient, best for the worst task",
    ),
    "imtl-g": Entry(
        "multitask", "multitask.surgery.imtl_g", "IMTLG", "equal projections on all gradients"
    ),
    "db-mtl": Entry(
        "multitask", "multitask.surgery.db_mtl", "DBMTL", "logarithms, and gradients of one length"
    ),
    "fairgrad": Entry(
        "multitask", "multitask.surgery.fairgrad", "FairGrad", "progress shared out fairly"
    ),
    "nash-mtl": Entry(
        "multitask", "multitask.surgery.nash", "NashMTL", "what the tasks would agree on"
    ),
    "aligned-mtl": Entry(
        "multitask",
        "multitask.surgery.aligned",
        "AlignedMTL",
        "gradients made orthogonal and equally long",
    ),
    "upgrad": Entry(
        "multitask",
        "multitask.surgery.upgrad",
        "UPGrad",
        "projections that conflict with no task, then the mean",
    ),
    "mtnp": Entry(
        "meta-multitask",
        "meta_multitask.mtnp",
        "MTNP",
        "attention over all labels of a set of tasks, no gradient at adaptation",
    ),
    "mmaml": Entry(
        "meta-multitask",
        "meta_multitask.mmaml",
        "MMAML",
        "a joint inner loop over a shared trunk and a head for each task",
    ),
    "manil": Entry(
        "meta-multitask",
        "meta_multitask.manil",
        "MANIL",
        "MMAML whose inner loop moves a last layer of the set and the heads alone",
    ),
    "mcavia": Entry(
        "meta-multitask",
        "meta_multitask.mcavia",
        "MCAVIA",
        "a context for the set and one for each task, found by an inner loop",
    ),
    "mreptile": Entry(
        "meta-multitask",
        "meta_multitask.mreptile",
        "MReptile",
        "move the trunk and the heads to where training on a set led",
    ),
    "coupled": Entry(
        "meta-multitask",
        "meta_multitask.coupled",
        "Coupled",
        "tasks follow each other's gradients as far as their supports say they are related",
    ),
    "linear-probe": Entry(
        "transfer",
        "transfer.linear_probe",
        "LinearProbe",
        "the network as it is, logistic or ridge regression on its features",
    ),
    "fine-tune": Entry(
        "transfer", "transfer.fine_tune", "FineTune", "train the whole network on, under a new head"
    ),
    "lp-ft": Entry(
        "transfer", "transfer.lp_ft", "LPFT", "a linear probe first, then fine-tuning from there"
    ),
    "l2-sp": Entry(
        "transfer", "transfer.l2_sp", "L2SP", "fine-tuning that is pulled back to its start"
    ),
    "prototype": Entry(
        "transfer", "transfer.prototype", "Prototype", "the nearest class mean of its features"
    ),
    "simpleshot": Entry(
        "transfer",
        "transfer.simpleshot",
        "SimpleShot",
        "the nearest class mean of features that were centred and brought to length 1",
    ),
    "ridge": Entry(
        "transfer", "transfer.ridge", "Ridge", "least squares to the labels on features of length 1"
    ),
    "logistic": Entry(
        "transfer", "transfer.logistic", "Logistic", "logistic regression on features of length 1"
    ),
    "setfit": Entry(
        "transfer",
        "transfer.setfit",
        "SetFit",
        "fine-tune on pairs of one class and of two, then logistic regression",
    ),
    "fine-tuned-prototype": Entry(
        "transfer",
        "transfer.tuned_prototype",
        "FineTunedPrototype",
        "the F of P>M>F: fine-tune towards the class means of augmented examples",
    ),
    "cosine-classifier": Entry(
        "transfer",
        "transfer.cosine_classifier",
        "CosineClassifier",
        "Baseline++: a learned direction for each class",
    ),
    "bd-cspn": Entry(
        "transfer",
        "transfer.bd_cspn",
        "BDCSPN",
        "class means that queries answered together put right",
    ),
    "tim": Entry(
        "transfer",
        "transfer.tim",
        "TIM",
        "sure labels of every class for queries answered together",
    ),
    "nearest-neighbours": Entry(
        "transfer",
        "transfer.nearest_neighbours",
        "NearestNeighbours",
        "the most similar examples vote",
    ),
    "boosted-trees": Entry(
        "transfer", "transfer.boosted_trees", "BoostedTrees", "gradient boosting of small trees"
    ),
    "random-forest": Entry(
        "transfer", "transfer.random_forest", "RandomForest", "deep trees on samples, their mean"
    ),
    "blend": Entry(
        "transfer", "transfer.blend", "Blend", "mean of a linear model, boosted trees and a forest"
    ),
    "in-context": Entry(
        "transfer",
        "transfer.in_context",
        "InContext",
        "a network that learned from generated tables reads the whole support",
    ),
    "mean": Entry("transfer", "transfer.mean", "Mean", "the mean of the values, for every input"),
    "last-value": Entry(
        "transfer", "transfer.last_value", "LastValue", "the last row's value, for every input"
    ),
}


def canonical(name: str) -> str:
    """The name in the table of an earlier spelling; any other name is returned as it is."""
    spelled = (known for known, entry in ALGORITHMS.items() if name in entry.aliases)
    return next(spelled, name)


def find(name: str, family: Family) -> Entry | None:
    """The line of a name or of an earlier spelling of it; None where the family has none."""
    entry = ALGORITHMS.get(canonical(name)) or plugin(name, family)
    return entry if entry is not None and entry.family == family else None


def plugin(name: str, family: Family) -> Entry | None:
    """The line of another package's class; None where nothing of that name is declared."""
    group = {"meta": "metacli.learners", "multitask": "metacli.balancing"}.get(family)
    path = None if group is None else target(name, group)
    if path is None:
        return None
    module, _, cls = path.partition(":")
    return Entry(family, module, cls, f"of {path}", outside=True)


def names(family: Family) -> list[str]:
    """The names of one family, in the order of the table."""
    return [name for name, entry in ALGORITHMS.items() if entry.family == family]
