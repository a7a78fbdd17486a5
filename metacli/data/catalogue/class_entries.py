"""The registry's entries of recordings and photographs that are divided into classes."""

from __future__ import annotations

from metacli.data.catalogue.entries import Archive, DataSet, listed
from metacli.data.catalogue.flowers import FlowerOptions
from metacli.data.catalogue.spoken_digits import DigitsOptions, SpeakersOptions

_WEB = "https://raw.githubusercontent.com/"
_FSDD = (
    Archive(
        name="fsdd.zip",
        urls=("https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/zip/HEAD",),
        bytes=16_091_653,
        md5="7b4a68e14616010263000c4328057104",
        contents="dbd573d7cafe79c4b49f65718115e1304e24e067fa39eff18a660dc6cb9c360f",
        members=3_000,
        unpacked=21_128_848,
        suffix=".wav",
        depth=1,
        groups=frozenset(),
        source="github.com/Jakobovski/free-spoken-digit-dataset, recordings/",
    ),
)
_FSDD_CITATION = "Z. Jackson et al., Free Spoken Digit Dataset (2016)"
_FSDD_LICENCE = "CC BY-SA 4.0"
_FLOWERS = "daniele-gilio/Machine-Learning-Class/d2d6def13e50e4dd1323472563bf68f1b75228c5/"

CLASS_SETS: tuple[DataSet, ...] = (
    DataSet(
        name="flowers12",
        kind="images",
        loader="metacli.data.catalogue.flowers:pool",
        builder="metacli.data.catalogue.flowers:build",
        options=FlowerOptions,
        archives=(
            Archive(
                name="flowers12.zip",
                urls=(),
                bytes=10_144_456,
                md5="29f01c2906451f3ba7ffa36d45342585",
                contents="fe4ee8d62ef55497c2a3fd9a6c75b70db5cd89949f09da920ee1152ea9014a58",
                members=960,
                unpacked=10_015_794,
                suffix=".jpg",
                depth=3,
                groups=frozenset({"train", "test"}),
                source="github.com/daniele-gilio/Machine-Learning-Class, lab3/flowers/train and "
                "test, in one zip",
                raw=listed("flowers12", _WEB + _FLOWERS + "lab3/flowers/", 3),
            ),
        ),
        citation="M.-E. Nilsback, A. Zisserman, CVPR 2006 and ICVGIP 2008",
        licence="none stated for the photographs",
        splits="60 train and 20 test photographs of each of the same 12 species",
        summary="photographs of 12 species of flowers, 224x224 in colour",
    ),
    DataSet(
        name="fsdd",
        kind="images",
        loader="metacli.data.catalogue.spoken_digits:pool",
        builder="metacli.data.catalogue.spoken_digits:build",
        options=DigitsOptions,
        archives=_FSDD,
        citation=_FSDD_CITATION,
        licence=_FSDD_LICENCE,
        splits="15 folds: 5 digits of 3 speakers train, of a fourth val, the other 5 digits of the "
        "other 2 speakers test; an episode is of one speaker, or of all with scheme merged",
        summary="six people say ten digits, 50 times each; as images of sound",
    ),
    DataSet(
        name="fsdd-speakers",
        kind="tasks",
        loader="metacli.data.catalogue.spoken_digits:speakers",
        builder="metacli.data.catalogue.spoken_digits:build",
        options=SpeakersOptions,
        archives=_FSDD,
        citation=_FSDD_CITATION,
        licence=_FSDD_LICENCE,
        splits="the authors' recordings 0 to 4 of each digit are test, 20 % of the others "
        "validation, drawn by split_seed",
        summary="which digit is it? The recordings of fsdd; a task per speaker",
        shares="fsdd",
    ),
)
