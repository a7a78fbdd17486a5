"""A module of a user as a network without its weights: what is set while it is differentiated."""

from __future__ import annotations

import torch
from torch import nn

from metacli.nn.live import LiveBatchNorm, RightUnderVmap, is_tied, prepared, twice_differentiable


def kernels() -> tuple[bool, bool, bool]:
    """Which kernels attention may take: flash, memory-efficient, matrix products."""
    cuda = torch.backends.cuda
    return (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled())


def test_attention_is_matrix_products_until_the_last_one_leaves() -> None:
    before = kernels()
    assert before != (False, False, True)
    with twice_differentiable(without_cudnn=False):
        assert kernels() == (False, False, True)
        with twice_differentiable(without_cudnn=False):
            assert kernels() == (False, False, True)
        assert kernels() == (False, False, True)
    assert kernels() == before


def test_cudnn_is_left_alone_unless_it_is_in_the_way() -> None:
    before = torch.backends.cudnn.enabled
    with twice_differentiable(without_cudnn=False):
        assert torch.backends.cudnn.enabled == before
    with twice_differentiable(without_cudnn=True):
        assert not torch.backends.cudnn.enabled
    assert torch.backends.cudnn.enabled == before


def test_batch_normalisation_without_statistics_changes_nothing_until_it_has_some() -> None:
    layer = LiveBatchNorm(nn.BatchNorm1d(3, track_running_stats=False, affine=False))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), x, rtol=1e-4, atol=1e-5)
    assert layer.running_mean.tolist() == [0.0] * 3
    assert layer.running_var.tolist() == [1.0] * 3
    tracked = nn.BatchNorm1d(3)
    tracked(10 * x + 4)  # a training step moves its statistics
    live = LiveBatchNorm(tracked)
    torch.testing.assert_close(live(x), tracked.eval()(x))


def test_attention_drops_nothing_out_where_it_is_made_differentiable() -> None:
    net = nn.Sequential(nn.ReLU(), nn.MultiheadAttention(4, 2, dropout=0.5))
    attention = prepared(net)[1]
    assert attention.dropout == 0.0
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attention(x, x, x)[0], attention.eval()(x, x, x)[0])


def test_a_network_is_tied_where_one_parameter_has_several_names() -> None:
    apart = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    assert not is_tied(apart)
    apart[1].weight = apart[0].weight
    assert is_tied(apart)


def test_instance_normalisation_by_running_statistics_is_torchs_under_vmap_too() -> None:
    draw = torch.Generator().manual_seed(0)
    layer = nn.InstanceNorm1d(3, affine=True, track_running_stats=True)
    layer(5 * torch.randn(4, 3, 6, generator=draw) + 2)  # a training step moves its statistics
    x = torch.randn(2, 3, 6, generator=draw)
    wanted = layer.eval()(x)
    with RightUnderVmap():
        torch.testing.assert_close(layer(x), wanted)
    assert not torch.allclose(wanted, x, atol=0.1)


def test_an_encoder_answers_alike_with_and_without_gradients_where_tokens_are_barred() -> None:
    """What is predicted is what was trained: torch's fused kernel would make 0 of barred tokens."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
    net = prepared(nn.TransformerEncoder(layer, 1).eval())
    x = torch.randn(2, 3, 8)
    barred = torch.tensor([[False, False, True], [False, True, True]])
    trained = net(x, src_key_padding_mask=barred)
    assert trained.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(net(x, src_key_padding_mask=barred), trained)
