"""The network of `tables-prior` beside loops, and what it promises whatever its weights are."""

from __future__ import annotations

import math

import pytest
import reference_tables
import torch
from scipy.stats import norm as gaussian
from torch import Tensor

from metacli.nn.tables import regression
from metacli.nn.tables.answers import Mixture, mixture_of
from metacli.nn.tables.attention import TableAttention
from metacli.nn.tables.cells import CATEGORY, MISSING, cells_of
from metacli.nn.tables.labels import Known, moments, of_classes, of_values
from metacli.types import Params

pytestmark = pytest.mark.usefixtures("one_thread")
NET = TableAttention(cell=4, tokens=2, cell_heads=2, heads=2, cell_blocks=2, blocks=2)
SUPPORT, ROWS, CLASSES = 7, 10, 3


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(rows: int = ROWS) -> Tensor:
    """Two tables with numbers, ties, a category and missing cells, [2, N, 4, 2]."""
    cells = torch.randn(2, rows, 4, 2, generator=rng(), dtype=torch.float64)
    cells[..., 1] = 0
    cells[:, :, 1, 0] = torch.randint(0, 3, (2, rows), generator=rng(1)).double()
    cells[:, :, 1, 1] = CATEGORY
    cells[:, :, 2, 0] = cells[:, :, 2, 0].round()
    for column in (1, 3):
        cells[:, column::4, column, 0] = 0
        cells[:, column::4, column, 1] = MISSING
    return cells


def weights(net: TableAttention = NET) -> Params:
    """Parameters none of which is at a special value."""
    return {
        name: value + 0.3 * torch.randn(value.shape, generator=rng(5), dtype=value.dtype)
        for name, value in net.init(0, torch.float64).items()
    }


def labels() -> Tensor:
    """[2, M]."""
    return torch.tensor([[0, 1, 2, 0, 1, 1, 0], [2, 1, 0, 0, 2, 2, 1]])


def members(y: Tensor) -> Known:
    return of_classes(torch.nn.functional.one_hot(y, CLASSES).double())


def values() -> Tensor:
    return torch.randn(2, SUPPORT, generator=rng(2), dtype=torch.float64)


def test_classes_equal_loops_over_cells_heads_classes_and_rows() -> None:
    p, cells, known = weights(), table(), members(labels())
    found = NET.logits(p, cells, known)
    for at in range(2):
        told = reference_tables.rows_of(NET, p, cells[at], known.labels[at], known.share[at, :, 0])
        for k in range(CLASSES):
            for q in range(ROWS - SUPPORT):
                wanted = p["class.weight"][0] @ told.tokens[k][q] + p["class.bias"][0]
                wanted = wanted + told.process[k][q] @ p["class.process"]
                wanted = wanted + known.share[at, k, 0].log()
                torch.testing.assert_close(found[at, q, k], wanted, rtol=0, atol=1e-7)


def test_values_equal_loops() -> None:
    p, cells, known = weights(), table(), of_values(values())
    found = NET.mixture(p, cells, known)
    told = reference_tables.rows_of(NET, p, cells[1], known.labels[1], known.share[1, :, 0])
    for q in range(ROWS - SUPPORT):
        out = p["value.weight"] @ told.tokens[0][q] + p["value.bias"]
        wanted = mixture_of(out, told.process[0][q] @ p["value.process"])
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one[1, q], other, rtol=0, atol=1e-7)


def test_rows_columns_and_classes_have_no_order() -> None:
    p, cells, y = weights(), table(), labels()
    found = NET.logits(p, cells, members(y))
    rows, columns = torch.randperm(SUPPORT, generator=rng()), torch.randperm(4, generator=rng(3))
    moved = torch.cat([cells[:, rows], cells[:, SUPPORT:]], 1)[:, :, columns]
    renamed = torch.tensor([2, 0, 1])
    other = NET.logits(p, moved, members(renamed[y[:, rows]]))
    assert float(found.std()) > 0.1
    torch.testing.assert_close(other[..., renamed], found, rtol=0, atol=1e-10)


def test_a_row_is_answered_by_itself() -> None:
    p, cells, known = weights(), table(), members(labels())
    found = NET.logits(p, cells, known)
    for q in range(SUPPORT, ROWS):
        alone = NET.logits(p, torch.cat([cells[:, :SUPPORT], cells[:, q : q + 1]], 1), known)
        torch.testing.assert_close(alone[:, 0], found[:, q - SUPPORT], rtol=0, atol=1e-10)


def test_scales_of_numbers_and_names_of_categories_do_not_matter() -> None:
    p, cells, known = weights(), table(), members(labels())
    other = cells.clone()
    other[:, :, 0, 0] = 1000 - 70 * cells[:, :, 0, 0] * -1
    names = torch.tensor([9.0, 4.0, 30.0], dtype=torch.float64)
    category = cells[:, :, 1, 1] == CATEGORY
    other[:, :, 1, 0] = torch.where(category, names[cells[:, :, 1, 0].long()], 0.0)
    found = NET.logits(p, other, known)
    torch.testing.assert_close(found, NET.logits(p, cells, known), rtol=0, atol=1e-9)


def test_values_in_another_unit_have_the_same_distribution() -> None:
    p, cells, y = weights(), table(), values()
    found, other = (NET.mixture(p, cells, of_values(one)) for one in (y, 40 * y - 3))
    torch.testing.assert_close(other.mean, found.mean, rtol=0, atol=1e-9)


def test_what_a_missing_cell_was_does_not_matter_and_that_it_is_missing_does() -> None:
    p, cells, known = weights(), table(), members(labels())
    found = NET.logits(p, cells, known)
    seen = cells.clone()
    seen[..., 1] = torch.where(seen[..., 1] == MISSING, 0.0, seen[..., 1])
    assert float((NET.logits(p, seen, known) - found).abs().max()) > 1e-3


def test_a_support_that_was_solved_before_answers_alike() -> None:
    p, cells, known = weights(), table(), members(labels())
    solved = NET.solved(p, cells[:, :SUPPORT], known)
    found = NET.logits(p, cells, known, solved)
    torch.testing.assert_close(found, NET.logits(p, cells, known), rtol=0, atol=1e-10)


def test_columns_and_values_that_are_all_the_same_are_answered() -> None:
    p, cells = weights(), torch.zeros_like(table())
    cells[:, :, 3, 1] = MISSING
    found = NET.mixture(p, cells, of_values(torch.full((2, SUPPORT), 4.0, dtype=torch.float64)))
    assert all(bool(one.isfinite().all()) for one in found)
    assert bool(NET.logits(p, cells, members(labels())).isfinite().all())


@pytest.mark.parametrize("rows", [1, 2])
def test_very_few_rows_are_answered(rows: int) -> None:
    p, cells = weights(), table(rows + 1)
    found = NET.mixture(p, cells, of_values(values()[:, :rows]))
    assert bool(found.mean.isfinite().all())


def test_every_parameter_counts() -> None:
    """A gradient through both answers reaches all of them."""
    p = {name: one.requires_grad_() for name, one in weights().items()}
    told = NET.logits(p, table(), members(labels())).square().sum()
    found = NET.mixture(p, table(), of_values(values()))
    whole = told + found.log_density(values()[:, : ROWS - SUPPORT]).sum()
    grads = torch.autograd.grad(whole, list(p.values()))
    assert all(float(one.abs().max()) > 0 for one in grads)


def test_the_process_leaves_a_row_of_the_support_out_as_a_system_without_it_would() -> None:
    p = weights()
    seen = cells_of(table()[..., 0], table()[..., 1], SUPPORT)
    counts = torch.tensor([[0.4, 0.2, 1.0, 0.3], [0.1, 2.0, 0.3, 0.3]], dtype=torch.float64)
    between, own = regression.kernel(p, seen.features, seen.differ, counts)
    known = members(labels())
    solved = regression.solve(p, between[:, :SUPPORT], known.labels)
    found = regression.told(between, own, known.labels, solved)
    for i in (0, SUPPORT - 1, ROWS - 1):
        others = [j for j in range(SUPPORT) if j != i]
        system = between[0][others][:, others] + solved.noise[0, 1] * torch.eye(len(others))
        wanted = between[0, i, others] @ torch.linalg.solve(system, known.labels[0, 2, others])
        torch.testing.assert_close(found[0, 2, i, 1], wanted, rtol=0, atol=1e-9)
    torch.testing.assert_close(between[:, :SUPPORT], between[:, :SUPPORT].mT, rtol=0, atol=1e-10)
    assert float(torch.linalg.eigvalsh(between[:, :SUPPORT]).min()) > -1e-9


def test_rounding_makes_no_row_more_alike_to_another_than_to_itself() -> None:
    """Squared distances of 0 that are sums and differences of large numbers in float32; with a = 0
    the kernel is b exp(-distance / 2), at most b."""
    p = {name: one.float() for name, one in weights().items()}
    p["kernel.parts"] = torch.tensor([-100.0, 0.0])  # a of 4e-44, b = log 2
    features = 1e4 * torch.randn(1, 3, 30, 18, generator=rng(), dtype=torch.float32)
    differ, counts = torch.zeros(1, 3, 30, 30), torch.ones(1, 3)
    found, own = regression.kernel(p, features, differ, counts)
    assert float(found.max()) <= math.log(2) * (1 + 1e-6)
    torch.testing.assert_close(own, torch.full((1, 30), math.log(2)))


def test_what_the_process_knows_for_certain_counts_as_a_ten_thousandth_of_doubt() -> None:
    """A row like one of the support, where there is no noise, and a row unlike all of it."""
    eye = torch.eye(2, dtype=torch.float64)
    between = torch.cat([eye, eye[:1], torch.zeros(1, 2, dtype=torch.float64)])[None]
    labels = torch.tensor([[[1.0, -1.0]]], dtype=torch.float64)
    noise = {"kernel.noise": torch.full((3,), -100.0, dtype=torch.float64)}
    solved = regression.solve(noise, between[:, :2], labels)
    found = regression.told(between, torch.ones(1, 4, dtype=torch.float64), labels, solved)
    assert found[0, 0, :, 0].tolist() == pytest.approx([0, 0, 1, 0])  # f, without a row's own label
    assert found[0, 0, :, 3].tolist() == pytest.approx([0, 0, math.log(1e-4), 0])


def test_a_mixture_is_a_density() -> None:
    logs = torch.tensor([[[0.2, 0.5, 0.3]]], dtype=torch.float64).log()
    means, scales = (
        torch.tensor([[one]], dtype=torch.float64) for one in ([-1, 0, 2], [0.5, 1, 2])
    )
    mixture = Mixture(logs, means, scales)
    y = torch.linspace(-30, 30, 60001, dtype=torch.float64)[None]
    wide = Mixture(*(one.expand(1, y.shape[1], 3) for one in mixture))
    density = wide.log_density(y).exp()
    assert math.isclose(float(torch.trapezoid(density[0], y[0])), 1, abs_tol=1e-6)
    mean = float(torch.trapezoid(density[0] * y[0], y[0]))
    assert math.isclose(mean, float(mixture.mean), abs_tol=1e-6)
    wanted = (
        0.2 * gaussian.cdf(0.7, -1, 0.5) + 0.5 * gaussian.cdf(0.7) + 0.3 * gaussian.cdf(0.7, 2, 2)
    )
    below = mixture.below(torch.full((1, 1), 0.7, dtype=torch.float64))
    assert math.isclose(float(below), wanted, abs_tol=1e-12)


def test_moments_are_numpys() -> None:
    mean, scale = moments(values())
    torch.testing.assert_close(mean[:, 0], torch.from_numpy(values().numpy().mean(1)))
    torch.testing.assert_close(scale[:, 0], torch.from_numpy(values().numpy().std(1)))


def test_fresh_weights_that_are_added_to_the_stream_are_smaller_by_its_depth() -> None:
    network = TableAttention(cell=64, tokens=4, cell_blocks=2, blocks=3)
    fresh = network.init(0)
    added, read = fresh["rows.0.o.weight"], fresh["rows.0.q.weight"]
    assert float(read.std()) == pytest.approx(256**-0.5, rel=0.02)
    assert float(added.std()) == pytest.approx(256**-0.5 * (2 * 5) ** -0.5, rel=0.02)
