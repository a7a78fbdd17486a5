"""The oracle: a network that is told each wave's amplitude and phase, beside the learners that
have to find them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import RECIPE, WAVES, recipe

from metacli.data.catalogue.sinusoid import Sinusoids
from metacli.engine.evaluate import evaluate
from metacli.engine.meta_train import meta_train
from metacli.engine.models.folder import load
from metacli.errors import DataError, RecipeError

pytestmark = pytest.mark.usefixtures("one_thread", "workplace")


def test_told_waves_are_the_same_waves_with_amplitude_and_phase_beside_each_input() -> None:
    plain, told = (Sinusoids(4, 3, ("test", 1), meta_batch=2, told=t) for t in (False, True))
    assert told.spec.input_shape == (3,)
    for half, seen in zip(plain.meta_batch_at(5), told.meta_batch_at(5), strict=True):
        assert torch.equal(half.y, seen.y)
        assert torch.equal(half.x, seen.x[..., :1])
        amplitude, phase = seen.x[..., 1:].unbind(-1)
        for column, known in ((amplitude, "amplitude"), (phase, "phase")):
            wanted = getattr(told.waves(10, 2), known).astype(np.float32)
            assert torch.equal(column, torch.from_numpy(wanted)[:, None].expand_as(column))
        exact = amplitude * torch.sin(seen.x[..., 0] - phase)
        torch.testing.assert_close(exact[..., None], seen.y, rtol=0, atol=1e-5)


def test_the_oracle_is_trained_beside_the_run_and_scored_on_the_same_waves() -> None:
    text = WAVES.replace("baselines: [joint]", "baselines: [joint, oracle]")
    meta_train(recipe(text), out="run", device="cpu")
    oracle = load(Path("run/baselines/oracle"))
    assert oracle.inputs.shape == (3,)
    assert oracle.recipe.data.options == {"told": True}
    assert oracle.learner().inner_steps == 0  # not the steps that the run is evaluated with
    found = evaluate("run", episodes=60)["baselines"]
    assert set(found) == {"untrained", "joint", "oracle"}
    assert [one["step"] for one in found["oracle"]["per_step"]] == [0]
    waves = Sinusoids(5, 5, (0, "sinusoid", "test", 1, 5, 5), told=True)
    errors = []
    for index in range(60):
        support, query = waves.episode(index)
        phi = oracle.learner().adapt(oracle.problem(), oracle.params, support, {})
        answer = oracle.learner().predict(oracle.problem(), phi, query.x)
        errors.append(float((answer - query.y).square().mean()))
    assert found["oracle"]["mean"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_there_is_no_oracle_of_images() -> None:
    with pytest.raises(RecipeError, match="baseline oracle is for regression"):
        meta_train(recipe(RECIPE), ["baselines=[oracle]"], out="run", device="cpu")


def test_an_option_that_the_waves_do_not_have_is_refused() -> None:
    with pytest.raises(DataError, match="no option 'tolt'") as caught:
        meta_train(recipe(WAVES), ["data.tolt=true"], out="run", device="cpu")
    assert caught.value.hint == "did you mean told?"
