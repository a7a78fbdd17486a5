"""The text encoder: untrained it is the cosine geometry of its input."""

from __future__ import annotations

import pytest
import torch

from metacli.nn.backbones.text import Text, unit


def test_untrained_it_keeps_every_angle_and_nothing_else() -> None:
    module, features = Text(scale=3.0).build((6,))
    x = torch.rand(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = module.double()(x)
    assert features == 6
    torch.testing.assert_close(found, 3 * x / x.norm(dim=1, keepdim=True))


def test_the_projection_stands_beside_the_n_grams_with_its_share() -> None:
    module, features = Text(width=5, scale=1.0, share=0.5).build((6,))
    module.reset_parameters()
    x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    found = module(x)
    assert (features, found.shape) == (11, (4, 11))
    torch.testing.assert_close(found[:, :6].norm(dim=1), torch.ones(4))
    torch.testing.assert_close(found[:, 6:].norm(dim=1), torch.full((4,), 0.5))


def test_what_is_learned_begins_again_as_declared() -> None:
    torch.manual_seed(0)
    for width in (0, 64):
        module, _ = Text(width=width, scale=3.0, share=0.5).build((100,))
        for parameter in module.parameters():
            torch.nn.init.constant_(parameter, 7.0)
        module.reset_parameters()
        assert not module.log_gain.any()
        assert module.log_scale.exp().item() == pytest.approx(3.0)
        if width:
            assert module.share.item() == 0.5
            assert module.projection.weight.std().item() == pytest.approx(1 / 8, rel=0.05)


def test_a_text_without_features_is_zero_and_has_a_second_derivative() -> None:
    x = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(unit(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert not unit(x).any()
    assert bool(torch.isfinite(second).all())
