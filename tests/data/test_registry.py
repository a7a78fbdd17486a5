"""The table of data sets: complete, and clear about what it does not know."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from metacli.cli import complete
from metacli.data.catalogue.registry import DATASETS, find, make_options, resolve
from metacli.data.sources import load_pool
from metacli.errors import DataError


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_entry_names_functions_and_options_that_exist(name: str) -> None:
    one = DATASETS[name]
    assert one.name == name
    assert callable(resolve(one.loader))
    assert not one.builder or callable(resolve(one.builder))
    assert is_dataclass(one.options)
    assert make_options(one, {}) == one.options()
    assert all((one.citation, one.licence, one.splits, one.summary))


@pytest.mark.parametrize(
    "archive", [a for one in DATASETS.values() for a in one.archives], ids=lambda a: a.name
)
def test_archives_come_from_the_web_with_a_digest(archive: Any) -> None:
    assert all(url.startswith("https://") for url in archive.urls)
    weights = archive.suffix == ".safetensors"  # pinned to a commit, where all have one name
    whole = archive.name == "fsdd.zip"  # the archive of a repository has no name of its own
    ending = archive.suffix if weights else "zip/HEAD" if whole else archive.name
    assert all(url.endswith(ending) for url in archive.urls)
    assert archive.has_address
    assert archive.source or archive.urls
    assert len(bytes.fromhex(archive.contents)) == 32
    assert len(bytes.fromhex(archive.md5)) == (0 if weights else 16)
    assert 0 < archive.unpacked < 10**9


def test_the_alphabets_of_the_two_omniglot_archives_are_disjoint() -> None:
    background, evaluation = (one.groups for one in DATASETS["omniglot"].archives)
    assert (len(background), len(evaluation), len(background & evaluation)) == (30, 20, 0)


def test_an_unknown_data_set_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match="no such data set - glyph") as caught:
        find("glyph")
    assert caught.value.hint == "did you mean glyphs?"
    with pytest.raises(DataError) as caught:
        find("zzz")
    assert caught.value.hint == f"known are {', '.join(DATASETS)}"


def test_an_unknown_option_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no option 'sceme'") as caught:
        load_pool("omniglot", "train", {"sceme": "random"}, tmp_path)
    assert caught.value.hint == "did you mean scheme?"
    with pytest.raises(DataError, match="split_seed is '1'; wanted a number"):
        load_pool("omniglot", "train", {"split_seed": "1"}, tmp_path)
    with pytest.raises(DataError, match="seed is True"):
        load_pool("glyphs", "train", {"seed": True}, tmp_path)


def test_the_names_that_the_shell_completes_are_those_of_the_table() -> None:
    assert list(complete.DATA_SETS) == list(DATASETS)


def test_waves_have_no_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="waves"):
        load_pool("sinusoid", "train", {}, tmp_path)


def test_options_are_plain_values_so_that_a_recipe_can_hold_them() -> None:
    for one in DATASETS.values():
        assert all(type(field.default) in (bool, int, float, str) for field in fields(one.options))
