"""Columns of molecules and of texts: fingerprints of atoms' neighbourhoods, n-grams without RDKit,
what cannot be read named and left out, and tables with several, partly missing targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metacli.data.multi_task.from_user import UserMultiTaskOptions, user_multi_task
from metacli.data.tables import molecules
from metacli.data.tables.choice import Choice
from metacli.data.tables.columns import assign
from metacli.data.tables.encoding import Encoding
from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.molecules import Letters, fingerprints, is_molecules, without_broken
from metacli.data.tables.reader import Table, parse_table
from metacli.engine.exporting.entrance import of_cells
from metacli.errors import DataError, EnvironmentProblem

MOLECULES = ("CCO", "OCC", "c1ccccc1", "CC(=O)O", "CCN", "CCCC", "C1CCCCC1", "CO")
WITHOUT = "metacli.data.tables.molecules.has_rdkit"


def table(cells: tuple[str, ...] = MOLECULES, name: str = "smiles", **more: str) -> Table:
    lines = [",".join([name, *more])]
    for number, cell in enumerate(cells):
        lines.append(",".join([cell, *(more[one][number % len(more[one])] for one in more)]))
    return parse_table("\n".join(lines).encode(), "csv", "mols.csv")


def test_a_fingerprint_depends_on_the_molecule_and_not_on_how_it_is_written() -> None:
    pytest.importorskip("rdkit")
    x = fingerprints(MOLECULES).x
    assert x.shape == (8, 2048)
    np.testing.assert_array_equal(x[0], x[1])  # ethanol, from either end
    assert (x[0] != x[2]).any()
    # Benzene's atoms are alike: one neighbourhood for each radius of 0, 1 and 2.
    assert x[2].sum() == 3
    # Two kinds of carbon and oxygen, one neighbourhood each; radius 2 adds what is not the whole.
    assert 5 <= x[0].sum() <= 7


def test_columns_are_molecules_by_their_name() -> None:
    assert all(map(is_molecules, ("smiles", "SMILES", "canonical_smiles", "smiles_1")))
    assert not any(map(is_molecules, ("smile", "similes", "text", "smilesx")))


@pytest.mark.parametrize("installed", [True, False])
def test_a_column_of_molecules_is_read_beside_others_and_reported(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:
        pytest.importorskip("rdkit")
    monkeypatch.setattr(WITHOUT, lambda: installed)
    rows = table(weight="123456789"[:8], label="01")
    roles = assign(rows, Choice(), Path())
    assert (roles.kind, roles.inputs) == ("table", ("smiles", "weight"))
    assert roles.kinds["smiles"] == "molecules"
    said = " ".join(roles.guessed)
    assert ("Morgan fingerprints" in said) == installed
    assert ("metacli[molecules]" in said) != installed
    encoding = fit_encoding([rows], {"smiles": "molecules", "weight": "numeric"})
    again = Encoding.from_dict(encoding.as_dict())
    assert again == encoding
    assert again.encode(rows).shape == (8, 2049)
    np.testing.assert_array_equal(again.encode(rows), encoding.encode(rows))


def test_characters_of_smiles_keep_their_case_and_rows_have_length_one() -> None:
    rows = table(("CCCC", "cccc", "CCCC", "CCO"))
    x = Letters("smiles").fit([rows]).encode(rows)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(x[0], x[2])
    assert x[0] @ x[1] < 0.1  # aromatic carbons are other atoms
    assert x[0] @ x[3] > 0.1


def test_the_weights_of_ngrams_are_smoothed_inverse_document_frequencies() -> None:
    rows = table(("C", "CN", "C"))
    found = Letters("smiles", 4096).fit([rows])
    weights = np.array(found.idf)
    alone = np.flatnonzero(found.counts(rows).toarray()[0])
    (seen_always,) = alone
    seen_once = np.flatnonzero(found.counts(rows).toarray()[1])
    rest = [one for one in seen_once if one != seen_always]
    top = np.log(4 / 1) + 1  # of a feature that no molecule has
    assert weights[seen_always] == pytest.approx(1 / top, abs=1e-4)
    assert weights[rest] == pytest.approx((np.log(4 / 2) + 1) / top, abs=1e-4)


def test_a_molecule_that_cannot_be_read_is_named_and_left_out() -> None:
    pytest.importorskip("rdkit")
    rows = table(("CCO", "C1CC", "CCN", "?"))
    kept, (finding,) = without_broken(rows, ["smiles"])
    assert kept.words("smiles") == ["CCO", "CCN"]
    assert finding.level == "warning"
    assert "2 of 4 molecules" in finding.message
    assert "row 3 (C1CC), row 5" in finding.message
    with pytest.raises(DataError, match=r"row 3, column smiles.*RDKit cannot read"):
        fit_encoding([rows], {"smiles": "molecules"}).encode(rows)
    with pytest.raises(DataError, match="holds no molecule"):
        without_broken(table(("C1CC", "C(")), ["smiles"])


def test_a_model_of_fingerprints_asks_for_rdkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WITHOUT, lambda: False)
    with pytest.raises(EnvironmentProblem) as error:
        molecules.Fingerprint("smiles").encode(table())
    assert "metacli[molecules]" in (error.value.hint or "")


def test_no_exported_file_reads_molecules() -> None:
    encoding = fit_encoding([table()], {"smiles": "molecules"})
    with pytest.raises(DataError, match="no exported"):
        of_cells(encoding)


def write(path: Path, column: str, cells: list[str]) -> Path:
    """Two targets; the second is missing in every third row."""
    lines = [f"{column},a,b"]
    for number, cell in enumerate(cells):
        lines.append(f"{cell},{number % 2},{'' if number % 3 == 0 else number % 4 // 2}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("installed", [True, False])
def test_several_targets_of_molecules_share_their_rows_and_empty_labels_are_missing(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:
        pytest.importorskip("rdkit")
    monkeypatch.setattr(WITHOUT, lambda: installed)
    cells = ["C" * (1 + number % 12) + "NOF"[number % 3] for number in range(48)]
    cells[7] = "C1CC" if installed else ""
    made = user_multi_task(
        write(tmp_path / "m.csv", "smiles", cells), UserMultiTaskOptions(target="a,b")
    )
    assert (made.rows, made.tasks) == ("shared", ("a", "b"))
    assert made.x[0] is made.x[1]
    assert made.x[0].shape == (47, 2048)
    assert [int(np.isnan(y).sum()) for y in made.y] == [0, 16]
    assert [one.code for one in made.findings] == ["table.molecule"]
    assert made.levels == (0.0, 1.0)  # bits are not standardised


def test_several_targets_of_texts_are_read_as_n_grams(tmp_path: Path) -> None:
    words = ["red", "green", "blue", "round", "square", "long", "short", "old", "new"]
    cells = [
        " ".join(words[(number * k) % 9] for k in (1, 2, 4, 5)) + f" {number}"
        for number in range(48)
    ]
    made = user_multi_task(
        write(tmp_path / "t.csv", "text", cells), UserMultiTaskOptions(target="a,b")
    )
    assert made.x[0].shape == (48, 4096)
    np.testing.assert_allclose(np.linalg.norm(made.x[0], axis=1), 1, rtol=1e-5)
    assert [int(np.isnan(y).sum()) for y in made.y] == [0, 16]


def test_what_is_left_out_beside_several_targets_is_named(tmp_path: Path) -> None:
    lines = ["row_id,size,note,a,b"]
    for number in range(40):
        note = f"it was seen {number} times by the river"
        lines.append(f"{number},{number * 7 % 11},{note},{number % 2},{number % 3}")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    made = user_multi_task(path, UserMultiTaskOptions(target="a,b"))
    assert made.columns == ("size",)
    assert {one.code for one in made.findings} == {"table.identifier", "table.text_left_out"}
