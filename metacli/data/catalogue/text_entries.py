"""The registry's entries of sets of texts."""

from __future__ import annotations

from metacli.data.catalogue.entries import DataSet, listed, plain_archive, zip_of
from metacli.data.catalogue.intents import ClincOptions, IntentOptions
from metacli.data.catalogue.joint_texts import JointOptions

_WEB = "https://raw.githubusercontent.com/"
_FOLDS = "github.com/tdopierre/ProtAugment, the label lists of its folds joined to one object"

TEXT_SETS: tuple[DataSet, ...] = (
    DataSet(
        name="clinc150",
        kind="text",
        loader="metacli.data.catalogue.intents:clinc150",
        builder="metacli.data.cache.kept_files:keep",
        options=ClincOptions,
        archives=(
            plain_archive(
                "data_full.json",
                (_WEB + "clinc/oos-eval/HEAD/data/data_full.json",),
                2_495_390,
                "30c29dc6ab78edf3b5dfa640be204cde",
                "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
                "github.com/clinc/oos-eval, data/data_full.json",
            ),
            plain_archive(
                "domains.json",
                (_WEB + "clinc/oos-eval/HEAD/data/domains.json",),
                3_818,
                "9beee9d0f36e07e914c1e3a626bdcb4a",
                "b947b579d3b8e74b06f93b01083d8efaff2888b43a3e362533bd88a6e1211b3a",
                "github.com/clinc/oos-eval, data/domains.json",
            ),
            plain_archive(
                "class_splits.json",
                (),
                12_082,
                "f6ae6b59fad90757b28a6a21bd99226e",
                "78dd8591ff61fdc3e38d5ee3319edc90b5acdef0999265651d89be1fe91ada98",
                _FOLDS,
                shipped="clinc150_splits.json",
            ),
        ),
        citation="S. Larson et al., EMNLP 2019; folds: T. Dopierre et al., ACL 2021",
        licence="CC BY 3.0",
        splits="scheme intents: five published folds of 50/50/50 intents; domains: 6/2/2 of its "
        "ten domains, five folds",
        summary="22,500 requests to an assistant, 150 intents of 10 domains, and 1,200 that mean "
        "none of them",
    ),
    DataSet(
        name="hwu64",
        kind="text",
        loader="metacli.data.catalogue.intents:hwu64",
        builder="metacli.data.cache.kept_files:keep",
        options=IntentOptions,
        archives=(
            zip_of(
                "hwu64.zip",
                122_837,
                "493c20ac447929bd2bb7606eac1f8007",
                listed("hwu64", _WEB + "jianguoz/Few-Shot-Intent-Detection/HEAD/Datasets/", 3),
                592_054,
                3,
                "the files of github.com/jianguoz/Few-Shot-Intent-Detection, Datasets/HWU64/",
            ),
            plain_archive(
                "class_splits.json",
                (),
                5_952,
                "843a3ca77967417c2e6c8a5d8ccb1251",
                "54763410aad1f189402282c3b591dc9de901b9f50c92a903af6b945987efb893",
                _FOLDS,
                shipped="hwu64_splits.json",
            ),
        ),
        citation="X. Liu, A. Eshghi, P. Swietojanski, V. Rieser, IWSDS 2019; folds: T. Dopierre et "
        "al., ACL 2021",
        licence="CC BY 4.0",
        splits="five published folds of 16-30/11-23/19-29 intents",
        summary="11,106 requests to a home assistant, 64 intents",
    ),
    DataSet(
        name="texts",
        kind="text",
        loader="metacli.data.catalogue.joint_texts:texts",
        builder="",
        options=JointOptions,
        archives=(),
        citation="those of clinc150, hwu64 and fdu-mtl",
        licence="those of clinc150, hwu64 and fdu-mtl",
        splits="the folds of clinc150 and hwu64, 10/3/3 domains of fdu-mtl; an episode within one",
        summary="clinc150, hwu64 and reviews of fdu-mtl together, once these three are fetched",
    ),
)
