"""The registry's entries of sets of many tasks."""

from __future__ import annotations

from metacli.data.catalogue.entries import DataSet, plain_archive
from metacli.data.catalogue.fdu_mtl import ReviewOptions
from metacli.data.catalogue.multi_task_sets import MultiTaskOptions
from metacli.data.catalogue.task_families import FamilyOptions

_WEB = "https://raw.githubusercontent.com/"
_SPLIT = "25 % of each task's rows are test, 20 % of the others validation, drawn by split_seed"

MULTI_TASK_SETS: tuple[DataSet, ...] = (
    DataSet(
        name="school",
        kind="tasks",
        loader="metacli.data.catalogue.multi_task_sets:school",
        builder="metacli.data.cache.kept_files:keep",
        options=MultiTaskOptions,
        archives=(
            plain_archive(
                "school.mat",
                (_WEB + "jiayuzhou/MALSAR/HEAD/data/school.mat",),
                44_759,
                "869a6ee9d48f83d4e88db72627b56149",
                "57fb3238fdd03a9aa17276e2ce18d9bbb5d128c3261e794fe6233b58b6909068",
                "github.com/jiayuzhou/MALSAR, data/school.mat",
            ),
        ),
        citation="H. Goldstein 1991; B. Bakker, T. Heskes, JMLR 4 (2003) 83-99",
        licence="none stated; data of the Inner London Education Authority",
        splits=_SPLIT,
        summary="examination scores of 15,362 pupils of 139 London schools; a task per school",
    ),
    DataSet(
        name="landmine",
        kind="tasks",
        loader="metacli.data.catalogue.multi_task_sets:landmine",
        builder="metacli.data.cache.kept_files:keep",
        options=MultiTaskOptions,
        archives=(
            plain_archive(
                "LandmineData.mat",
                (_WEB + "daizhongxiang/Federated_Bayesian_Optimization/HEAD/LandmineData.mat",),
                1_085_456,
                "8e9e5085f3f98600141b26c0e1376ee9",
                "2163ab20a80e33a8b65593c48cf283c540599dcb291105e63fa4af2ce24c2bea",
                "github.com/daizhongxiang/Federated_Bayesian_Optimization, LandmineData.mat",
            ),
        ),
        citation="Y. Xue, X. Liao, L. Carin, B. Krishnapuram, JMLR 8 (2007) 35-63",
        licence="none stated",
        splits=_SPLIT + ", mines and clutter apart",
        summary="mines in radar images of 29 fields, 6 % of 14,820 examples; a task per field",
    ),
    DataSet(
        name="sarcos",
        kind="tasks",
        loader="metacli.data.catalogue.multi_task_sets:sarcos",
        builder="metacli.data.cache.kept_files:keep",
        options=MultiTaskOptions,
        archives=(
            plain_archive(
                "sarcos_inv_test.mat",
                (_WEB + "Kaixhin/SARCOS/HEAD/sarcos_inv_test.mat",),
                996_776,
                "16457799b816f22238e6dc7301c751f6",
                "161a59b5c3b4f4b404584323f181607b2acbe620eb134dc720760dc3f38f5cec",
                "github.com/Kaixhin/SARCOS, sarcos_inv_test.mat",
            ),
        ),
        citation="S. Vijayakumar, S. Schaal, ICML 2000; C. Rasmussen, C. Williams 2006",
        licence="none stated",
        splits="blocks of at least 300 rows of the trajectory with gaps between them",
        summary="seven torques of a robot arm over the same 4,449 rows; a task per torque",
    ),
    DataSet(
        name="computer-buyers",
        kind="tasks",
        loader="metacli.data.catalogue.multi_task_sets:computer_buyers",
        builder="metacli.data.cache.kept_files:keep",
        options=MultiTaskOptions,
        archives=(
            plain_archive(
                "computer_buyers.zip",
                (),
                9_475,
                "42016e8ad0799bfa1a945ca3d36b8ede",
                "0602e4a7f4582434e0ba948f45153b7105d8ff855257e55f20e8f997644e15ce",
                "the files of github.com/probml/pmtkdata, conjointAnalysisComputerBuyers/, in one "
                "zip; it has no public address",
            ),
        ),
        citation="P. Lenk, W. DeSarbo, P. Green, M. Young, Marketing Science 15 (1996)",
        licence="none stated",
        splits="the last 4 of 20 computers are test, 20 % of the others validation",
        summary="how likely 190 people are to buy each of 20 computers; a task per person",
    ),
    DataSet(
        name="adult",
        kind="tasks",
        loader="metacli.data.catalogue.multi_task_sets:adult",
        builder="metacli.data.cache.kept_files:keep",
        options=MultiTaskOptions,
        archives=(
            plain_archive(
                "adult.zip",
                (),
                663_636,
                "cfa00b1bfb2909831eadec1ee9e52457",
                "29c925501d4950fb8d55327837e79a73171fde32c74ebb6a64d27fcc9cfb7fc3",
                "the files adult.data, adult.names and adult.test of the UCI repository, as "
                "github.com/probml/pmtkdata, adultCensus/, has them, in one zip; it has no public "
                "address",
            ),
        ),
        citation="R. Kohavi 1996; B. Becker, R. Kohavi, UCI repository",
        licence="CC BY 4.0",
        splits="UCI's adult.test is test, 20 % of the other rows validation, drawn by split_seed",
        summary="income, marital status and hours of work of 48,842 people; a task per question",
    ),
    DataSet(
        name="fdu-mtl",
        kind="tasks",
        loader="metacli.data.catalogue.fdu_mtl:fdu_mtl",
        builder="metacli.data.cache.kept_files:keep",
        options=ReviewOptions,
        archives=(
            plain_archive(
                "fdu_mtl.zip",
                (),
                7_718_258,
                "95eddfb391e6fe8d359460c37bf0c8b1",
                "dc8060948a4ee48c2836e3af57ef192e033cda6f2f238b5a64c13b47aada1963",
                "the labelled files of github.com/ccsasuke/man, data/fdu-mtl/, in one zip; it has "
                "no public address",
            ),
        ),
        citation="P. Liu, X. Qiu, X. Huang, ACL 2017",
        licence="none stated for the reviews",
        splits="the test files are test, 20 % of the other lines validation, drawn by split_seed",
        summary="28,779 reviews of 16 kinds of things, good or bad; a task per kind",
    ),
    DataSet(
        name="task-families",
        kind="tasks",
        loader="metacli.data.catalogue.task_families:families",
        builder="",
        options=FamilyOptions,
        archives=(),
        citation="made by metacli",
        licence="MIT",
        splits=_SPLIT,
        summary="generated tasks in known groups, and some related to none; nothing to download",
    ),
)
