"""Convolutions as products of patches, against torch's, twice differentiated and under vmap."""

from __future__ import annotations

import pytest
import torch
import toys
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.nn.layers.norms import BatchStatNorm
from metacli.nn.layers.products import PatchConv, RowNorm, as_products, patches_of, rows_first

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = [(1, 4, 5), (1, 3, 3), (2, 7, 7), (2, 6, 8), (2, 1, 1), (2, 5, 2)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=toys.rng(seed), dtype=torch.float64)


@pytest.mark.parametrize(("stride", "height", "width"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_convolution_of_patches_is_torchs(
    stride: int, height: int, width: int, channels: int
) -> None:
    plain = nn.Conv2d(channels, 4, 3, stride, 1).double()
    x = random(2, channels, height, width)
    torch.testing.assert_close(PatchConv(plain)(x), plain(x), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("stride", "height", "width"), SIZES)
def test_patches_and_their_sum_are_each_others_derivative(
    stride: int, height: int, width: int
) -> None:
    x = random(1, height, width, 2).requires_grad_()
    take = lambda value: patches_of(value, stride)  # noqa: E731
    torch.autograd.gradcheck(take, (x,), fast_mode=True)
    torch.autograd.gradgradcheck(lambda value: take(value) ** 2, (x,), fast_mode=True)


def test_weights_of_each_task_under_vmap_and_their_second_derivative() -> None:
    layer = nn.Conv2d(2, 3, 3, 2, 1, bias=False).double()
    x, weights = random(4, 5, 2, 7, 7), random(4, 3, 2, 3, 3, seed=1)

    def curved(convolve: object) -> Tensor:
        def step(w: Tensor, pictures: Tensor) -> Tensor:
            inner = torch.func.grad(lambda v: convolve(v, pictures).pow(3).sum())(w)
            return convolve(w - 0.1 * inner, pictures).square().sum()

        per_task = torch.vmap(torch.func.grad(step))
        return per_task(weights, x)

    def product(w: Tensor, pictures: Tensor) -> Tensor:
        return torch.func.functional_call(PatchConv(layer), {"weight": rows_first(w)}, (pictures,))

    wanted = curved(lambda w, pictures: F.conv2d(pictures, w, stride=2, padding=1))
    torch.testing.assert_close(curved(product), wanted, rtol=1e-10, atol=1e-10)


def test_a_norm_of_rows_is_the_batch_norm() -> None:
    layer, x = BatchStatNorm(3).double().train(), random(4, 3, 5, 2)
    with torch.no_grad():
        layer.weight.copy_(random(3, seed=1))
        layer.bias.copy_(random(3, seed=2))
    torch.testing.assert_close(RowNorm(layer)(x), layer(x), rtol=0, atol=1e-13)


def test_what_is_no_product_stays_and_names_stay() -> None:
    kept = nn.Conv2d(2, 2, 1)
    module = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), BatchStatNorm(2), nn.ReLU(), kept)
    names = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    changed = as_products(module)
    assert [type(layer) for layer in changed] == [PatchConv, RowNorm, nn.ReLU, nn.Conv2d]
    assert changed[3] is kept
    assert names == {n for n, _ in (*changed.named_parameters(), *changed.named_buffers())}


@pytest.mark.parametrize("kind", [{"groups": 2}, {"dilation": 2}, {"padding_mode": "reflect"}])
def test_a_convolution_that_no_product_computes_stays(kind: dict) -> None:
    layer = nn.Conv2d(2, 2, 3, 1, 1, **kind)
    assert as_products(nn.Sequential(layer))[0] is layer


def test_a_laid_out_weight_is_the_same_weight() -> None:
    weight = random(4, 3, 3, 3)
    assert torch.equal(rows_first(weight), weight)
    assert rows_first(weight).permute(2, 3, 1, 0).is_contiguous()
