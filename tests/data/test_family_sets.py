"""Sets of generated tasks in groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metacli.data.sets.families import SIGNAL, Families, FamilySets, bent
from metacli.errors import DataError


def test_sets_are_the_same_at_every_time_and_differ_from_each_other() -> None:
    source = Families(FamilySets(), (3, 6), 4, ("train", 0), 3)
    first, again, other = (source.meta_batch_at(step) for step in (2, 2, 3))
    assert torch.equal(first.support.y, again.support.y)
    assert torch.equal(first.query.x, again.query.x)
    assert first.query.y.shape == (3, 8, 4)
    assert first.support.x.shape[-1] == source.inputs == 24
    assert not torch.equal(first.query.y, other.query.y)
    alone = Families(FamilySets(), 5, 4, ("train", 0), 1).meta_batch_at(7)
    within = Families(FamilySets(), 5, 4, ("train", 0), 4).meta_batch_at(1)
    assert torch.equal(alone.support.x[0], within.support.x[3])


def test_tasks_of_a_group_have_nearly_the_same_direction_or_the_opposite_one() -> None:
    options = FamilySets(groups=2, tasks=3, unrelated=1, flipped=1, snr=60)
    source = Families(options, 400, 1, ("test", 0), 1)
    support = source.meta_batch_at(0).support
    x, y = support.x[0].double(), support.y[0].double()
    fits = torch.linalg.lstsq(x, y[..., None]).solution[..., 0]
    w = (fits / fits.norm(dim=1, keepdim=True)).numpy()
    cosines, related = w @ w.T, source.related_at(0)[0]
    assert related.sum() == 2 * 9 + 1
    strangers = ~related
    assert (np.abs(cosines[related]) > 0.6).all()
    assert (np.abs(cosines[strangers]) < 0.5).all()
    assert (cosines[0, 1:3] < 0).all()
    assert cosines[1, 2] > 0


def test_noise_is_what_is_asked_for() -> None:
    z = np.random.default_rng(0).normal(size=200_000)
    assert pytest.approx(bent(z).std(), rel=0.01) == SIGNAL
    options = FamilySets(groups=1, tasks=1, unrelated=0, snr=0)
    y = Families(options, 2000, 1, ("test", 1), 2).meta_batch_at(0).support.y
    assert float(y.std()) == pytest.approx(2**0.5 * SIGNAL, rel=0.05)


@pytest.mark.parametrize("wrong", [{"groups": 0}, {"unrelated": 30}, {"flipped": 4}])
def test_what_cannot_be_generated_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match="task-families"):
        FamilySets(**wrong)
