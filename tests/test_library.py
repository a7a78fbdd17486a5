"""Any network of torch and a training loop of one's own: what is computed, and what is left alone.

References are deep copies of the network that take real steps, and differences of their losses in
float64: nothing of the package takes part in them.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import metacli
from metacli import compiled
from metacli.errors import DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("one_thread")
WAY, SHOT, QUERY, LR = 3, 2, 2, 0.05


class Encoder(nn.Module):
    """A transformer encoder layer over five tokens, with dropout as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
        self.head = nn.Linear(8, WAY)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).mean(1))


class Recurrent(nn.Module):
    """An LSTM whose last state is read."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, num_layers=2, dropout=0.5, batch_first=True)
        self.head = nn.Linear(6, WAY)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Attention(nn.Module):
    """Attention by torch's function itself."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, WAY)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part[:, None] for part in self.qkv(x).chunk(3, -1))
        return self.head(F.scaled_dot_product_attention(q, k, v)[:, 0].mean(1))


def resnet18() -> nn.Module:
    return pytest.importorskip("torchvision").models.resnet18(num_classes=WAY)


def small() -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, WAY)
    )


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet18": (resnet18, (3, 40, 40)),
    "encoder": (Encoder, (5, 8)),
    "lstm": (Recurrent, (5, 4)),
    "attention": (Attention, (5, 8)),
    "small": (small, (5,)),
}
SLOW = [pytest.param("resnet18", marks=pytest.mark.slow)]
every_net = pytest.mark.parametrize("name", [*SLOW, *(n for n in NETS if n != "resnet18")])


def made(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return NETS[name][0]().to(dtype)


def meta_batch(name: str, tasks: int = 2, dtype: torch.dtype = torch.float64) -> metacli.Episode:
    rng = torch.Generator().manual_seed(1)

    def half(each: int) -> metacli.Batch:
        y = torch.arange(WAY).repeat_interleave(each).expand(tasks, -1).contiguous()
        x = torch.randn(tasks, WAY * each, *NETS[name][1], generator=rng, dtype=dtype)
        return metacli.Batch(x + y.view(tasks, -1, *[1] * len(NETS[name][1])), y)

    return metacli.Episode(half(SHOT), half(QUERY))


def by_batch(net: nn.Module) -> nn.Module:
    """The net as it is to be inside: no dropout, each batch normalised by itself."""
    net.eval()
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.train()
    return net


def query_loss_after_steps(
    net: nn.Module, episodes: metacli.Episode, lr: float, steps: int
) -> Tensor:
    """The mean query loss after real steps of a copy of the network."""
    losses = []
    for task in range(len(episodes.query.y)):
        fast = by_batch(copy.deepcopy(net))
        optimizer = torch.optim.SGD(fast.parameters(), lr)
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(fast(episodes.support.x[task]), episodes.support.y[task]).backward()
            optimizer.step()
        with torch.no_grad():
            losses.append(F.cross_entropy(fast(episodes.query.x[task]), episodes.query.y[task]))
    return torch.stack(losses).mean()


@every_net
def test_the_second_order_gradient_is_the_slope_of_what_real_steps_lead_to(name: str) -> None:
    tasks, steps = (1, 1) if name == "resnet18" else (2, 2)
    net, episodes = made(name), meta_batch(name, tasks)
    problem = metacli.Problem.from_module(net)
    gradient, metrics = metacli.MAML(inner_lr=LR, inner_steps=steps).gradient(problem, episodes)
    wanted = query_loss_after_steps(net, episodes, LR, steps)
    torch.testing.assert_close(metrics["query_loss"], wanted, rtol=1e-9, atol=0)
    rng, eps = torch.Generator().manual_seed(2), 1e-7
    draw = lambda v: torch.randn(v.shape, generator=rng, dtype=v.dtype)  # noqa: E731
    along = {n: draw(v) / v.numel() ** 0.5 for n, v in net.named_parameters()}
    ends = []
    for side in (eps, -eps):
        moved = copy.deepcopy(net)
        with torch.no_grad():
            for key, value in moved.named_parameters():
                value.add_(along[key], alpha=side)
        ends.append(query_loss_after_steps(moved, episodes, LR, steps))
    slope = (ends[0] - ends[1]) / (2 * eps)
    found = torch.stack([(along[n] * gradient[f"net.{n}"]).sum() for n in along]).sum()
    torch.testing.assert_close(found, slope, rtol=1e-5, atol=1e-7)


@every_net
def test_nothing_of_the_network_is_changed(name: str) -> None:
    net = made(name).train()
    before = {n: (v.clone(), v._version) for n, v in net.state_dict().items()}
    modes = [layer.training for layer in net.modules()]
    problem, episodes = metacli.Problem.from_module(net), meta_batch(name)
    learner = metacli.MAML(inner_lr=0.1, inner_steps=1)
    learner.gradient(problem, episodes)
    support, query = (metacli.Batch(half.x[0], half.y[0]) for half in episodes)
    learner.predict(problem, learner.adapt(problem, problem.params(), support), query.x)
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key][0])
        assert value._version == before[key][1], f"{key} was written to"
    assert [layer.training for layer in net.modules()] == modes
    assert all(value.grad is None for value in net.parameters())


@every_net
def test_a_prediction_is_of_each_row_by_itself(name: str) -> None:
    net, episodes = made(name), meta_batch(name)
    problem = metacli.Problem.from_module(net)
    for learner in (metacli.MAML(inner_lr=0.05, inner_steps=1), metacli.ProtoNet()):
        support, query = (metacli.Batch(half.x[0], half.y[0]) for half in episodes)
        phi = learner.adapt(problem, problem.params(), support)
        every = learner.predict(problem, phi, query.x)
        assert every.shape == (WAY * QUERY, WAY)
        one = learner.predict(problem, phi, query.x[:1])
        torch.testing.assert_close(one, every[:1], rtol=1e-9, atol=1e-9)


def test_the_network_is_read_at_every_call() -> None:
    net, episodes = made("small"), meta_batch("small")
    problem, learner = metacli.Problem.from_module(net), metacli.MAML(inner_lr=0.1, inner_steps=1)
    first, _ = learner.gradient(problem, episodes)
    theta = problem.params()
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(0.5)
    second, _ = learner.gradient(problem, episodes)
    fresh, _ = learner.gradient(metacli.Problem.from_module(net), episodes)
    assert not torch.equal(first["net.0.weight"], second["net.0.weight"])
    for key, value in second.items():
        torch.testing.assert_close(value, fresh[key], rtol=0, atol=0)
    assert torch.equal(theta["net.0.weight"], net[0].weight), "params share the module's memory"


def test_frozen_statistics_are_the_networks_own_running_ones() -> None:
    net, episodes = made("small"), meta_batch("small")
    with torch.no_grad():
        for _ in range(3):
            net.train()(episodes.support.x.flatten(0, 1) * 2 + 1)
    net.eval()
    problem = metacli.Problem.from_module(net, statistics="frozen")
    support = metacli.Batch(episodes.support.x[0], episodes.support.y[0])
    maml = metacli.MAML(inner_lr=0.1, inner_steps=0)
    phi = maml.adapt(problem, problem.params(), support)
    query = episodes.query.x[0]
    torch.testing.assert_close(maml.predict(problem, phi, query), net(query), rtol=1e-12, atol=0)
    by_support = metacli.Problem.from_module(net, statistics="batch")
    phi = maml.adapt(by_support, by_support.params(), support)
    wanted = by_batch(copy.deepcopy(net))(support.x)
    found = maml.predict(by_support, phi, support.x)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_chunks_and_threads_change_nothing() -> None:
    net, episodes = made("encoder"), meta_batch("encoder", tasks=3)
    learner = metacli.MAML(inner_lr=0.1, inner_steps=2)
    one, _ = learner.gradient(metacli.Problem.from_module(net, chunk=1), episodes)
    two, _ = learner.gradient(metacli.Problem.from_module(net, chunk=2), episodes)
    torch.set_num_threads(2)
    threaded, _ = learner.gradient(metacli.Problem.from_module(net, chunk=1), episodes)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(threaded[key], value, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "encoder"])
def test_a_written_out_gradient_is_that_of_the_loop(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `compiled=True` makes C++ of, run as it is: three tasks, two at a time."""
    monkeypatch.setattr(compiled, "to_cpp", lambda graph, values: graph)
    net, episodes = made(name), meta_batch(name, tasks=3)
    learner = metacli.MAML(inner_lr=0.1, inner_steps=1)
    loop, wanted = learner.gradient(metacli.Problem.from_module(net), episodes)
    written = metacli.Problem.from_module(net, chunk=2, compiled=True)
    found, metrics = learner.gradient(written, episodes)
    for key, value in loop.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12)
    assert {k: float(v) for k, v in metrics.items()} == pytest.approx(
        {k: float(v) for k, v in wanted.items()}
    )
    with pytest.raises(UsageProblem, match="no compiled gradient of Reptile"):
        metacli.Reptile().gradient(written, episodes)


class NormByFunction(nn.Module):
    """Batch normalisation that is no layer of torch's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, self.gain, self.shift, training=True)


@pytest.mark.parametrize(
    "norm", ["BatchNorm1d", "InstanceNorm1d", "LayerNorm", "GroupNorm", "function"]
)
def test_normalisation_is_right_in_second_order_under_vmap(norm: str) -> None:
    layers = {
        "BatchNorm1d": nn.BatchNorm1d(4),
        "InstanceNorm1d": nn.InstanceNorm1d(4, affine=True),
        "LayerNorm": nn.LayerNorm([4, 6]),
        "GroupNorm": nn.GroupNorm(2, 4),
        "function": NormByFunction(4),
    }
    torch.manual_seed(0)
    first, last = nn.Conv1d(5, 4, 3), nn.Linear(24, WAY)
    net = nn.Sequential(first, layers[norm], nn.Tanh(), nn.Flatten(), last).double()
    with torch.no_grad():
        for value in layers[norm].parameters():
            value.add_(0.3 * torch.randn_like(value))
    given = meta_batch("encoder", tasks=3)
    episodes = metacli.Episode(*given)
    learner = metacli.MAML(inner_lr=0.1, inner_steps=2)
    one, _ = learner.gradient(metacli.Problem.from_module(net), episodes)
    three, _ = learner.gradient(metacli.Problem.from_module(net, chunk=3), episodes)
    for key, value in one.items():
        torch.testing.assert_close(three[key], value, rtol=1e-9, atol=1e-12)


def test_an_lstm_under_vmap_says_what_to_do() -> None:
    problem = metacli.Problem.from_module(made("lstm"), chunk=2)
    with pytest.raises(UsageProblem, match=r"vmap") as caught:
        metacli.MAML(inner_steps=1).gradient(problem, meta_batch("lstm"))
    assert "chunk=1" in (caught.value.hint or "")


class Once(torch.autograd.Function):
    """The square, whose gradient has none."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, slope: Tensor) -> Tensor:
        return 2 * slope * ctx.saved_tensors[0]  # type: ignore[attr-defined]


class NoSecond(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, WAY, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return Once.apply(self.linear(x))


def test_an_operation_without_second_derivative_names_first_order() -> None:
    problem, episodes = metacli.Problem.from_module(NoSecond()), meta_batch("small")
    with pytest.raises(UsageProblem, match="second derivative") as caught:
        metacli.MAML(inner_steps=1).gradient(problem, episodes)
    assert "first_order=True" in (caught.value.hint or "")
    gradient, _ = metacli.MAML(inner_steps=1, first_order=True).gradient(problem, episodes)
    assert gradient["net.linear.weight"].abs().max() > 0


def test_parameters_that_take_no_gradient_stay_out_of_it() -> None:
    net = made("small")
    net[0].requires_grad_(False)
    problem = metacli.Problem.from_module(net)
    gradient, _ = metacli.MAML(inner_lr=0.1).gradient(problem, meta_batch("small"))
    assert set(gradient) == {"net.1.weight", "net.1.bias", "net.4.weight", "net.4.bias"}


def test_one_parameter_with_two_names_gets_the_gradient_of_both() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)
            self.b.weight = self.a.weight
            self.out = nn.Linear(5, WAY)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.b(self.a(x).tanh()))

    torch.manual_seed(0)
    net, episodes = Tied().double(), meta_batch("small", tasks=1)
    learner = metacli.MAML(inner_steps=0)
    gradient, _ = learner.gradient(metacli.Problem.from_module(net), episodes)
    F.cross_entropy(net(episodes.query.x[0]), episodes.query.y[0]).backward()
    torch.testing.assert_close(gradient["net.a.weight"], net.a.weight.grad)


def test_a_learners_own_parameters_are_trained_beside_the_network() -> None:
    net, episodes = made("small"), meta_batch("small")
    problem, learner = metacli.Problem.from_module(net), metacli.MetaSGD(inner_lr=0.1)
    gradient, _ = learner.gradient(problem, episodes)
    with pytest.raises(UsageProblem, match="meta_sgd"):
        problem.set_grad(net, gradient)
    rates, _ = learner.init(problem, problem.params())
    assert {name.removeprefix("meta_sgd.lr.") for name in rates} == problem.trainable
    for value in rates.values():
        value.requires_grad_()
    given = {**problem.params(), **{name: v.detach() for name, v in rates.items()}}
    gradient, _ = learner.gradient(problem, episodes, params=given)
    problem.set_grad(net, gradient, own=rates)
    assert all(value.grad is not None for value in (*net.parameters(), *rates.values()))


def test_a_learner_with_a_memory_says_that_direction_takes_it() -> None:
    problem = metacli.Problem.from_module(made("small"))
    with pytest.raises(UsageProblem, match="remembers step"):
        metacli.MAMLPlusPlus().gradient(problem, meta_batch("small"))


def test_a_loss_of_ones_own_is_minimised_and_reported() -> None:
    net, episodes = nn.Linear(1, 1), regression()
    problem = metacli.Problem.from_module(net, lambda out, y: (out - y).abs().flatten(1).mean(1))
    gradient, metrics = metacli.MAML(inner_steps=0).gradient(problem, episodes)
    losses = (net(episodes.query.x) - episodes.query.y).abs().mean()
    losses.backward()
    assert set(metrics) == {"query_loss"}
    torch.testing.assert_close(metrics["query_loss"], losses.detach())
    torch.testing.assert_close(gradient["net.weight"], net.weight.grad)


def regression() -> metacli.Episode:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 1, generator=rng)
    return metacli.Episode(metacli.Batch(x[:, :3], 2 * x[:, :3]), metacli.Batch(x[:, 3:], x[:, 3:]))


def test_metrics_of_a_regression_are_its_squared_error() -> None:
    problem = metacli.Problem.from_module(nn.Linear(1, 1), "mse")
    _, metrics = metacli.MAML(inner_lr=0.1, inner_steps=1).gradient(problem, regression())
    assert set(metrics) == {"query_loss", "query_mse"}


def test_shapes_that_do_not_fit_are_reported() -> None:
    net, episodes = made("small"), meta_batch("small")
    problem, learner = metacli.Problem.from_module(net), metacli.MAML()
    one = metacli.Episode(*(metacli.Batch(half.x[0], half.y[0]) for half in episodes))
    with pytest.raises(UsageProblem, match=r"wanted are x \[B, M"):
        learner.gradient(problem, one)
    floats = metacli.Episode(*(metacli.Batch(half.x, half.y.double()) for half in episodes))
    with pytest.raises(UsageProblem, match="int64"):
        learner.gradient(problem, floats)
    flat = metacli.Episode(*(metacli.Batch(half.x, half.y[..., 0]) for half in regression()))
    with pytest.raises(UsageProblem, match=r"prediction \(3, 1\)"):
        metacli.MAML().gradient(metacli.Problem.from_module(nn.Linear(1, 1), "mse"), flat)
    bad = metacli.Problem.from_module(nn.Sequential(nn.Linear(1, 2), nn.Flatten(0)), "mse")
    with pytest.raises(UsageProblem, match="one row for each"):
        metacli.MAML(inner_steps=0).gradient(bad, regression())
    with pytest.raises(UsageProblem, match="no shape yet"):
        metacli.Problem.from_module(nn.LazyLinear(3))


def test_a_network_that_changed_is_noticed() -> None:
    net = made("small")
    problem = metacli.Problem.from_module(net)
    net.add_module("5", nn.Linear(WAY, WAY))
    with pytest.raises(UsageProblem, match=r"net\.5\.weight"):
        problem.params()


def test_surgeries_and_weightings_are_used_by_themselves() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    torch.testing.assert_close(metacli.PCGrad()(rows), torch.tensor([0.5, 1.5]))
    with pytest.raises(UsageProblem, match=r"\[T, P\]"):
        metacli.MGDA()(rows[0])
    weighting, state = metacli.DWA(window=1), None
    for losses in ([4.0, 1.0], [2.0, 1.0], [1.0, 1.0]):
        loss, state = weighting(torch.tensor(losses), state)
    w = 2 * torch.softmax(torch.tensor([0.5, 1.0]) / 2, 0)  # of the two steps before
    torch.testing.assert_close(loss, (w * torch.tensor([1.0, 1.0])).mean())
    with pytest.raises(UsageProblem, match="log_variance"):
        metacli.Uncertainty()(torch.ones(2))
    with pytest.raises(UsageProblem, match="norms="):
        metacli.GradNorm()(torch.ones(2))


def test_episodes_of_a_dataset_share_no_example_and_are_the_same_again() -> None:
    x = torch.arange(60.0)[:, None]
    data = TensorDataset(x, torch.arange(60) % 6)
    source = metacli.episodes(data, way=4, shot=3, query=5, seed=1)
    again = metacli.episodes(data, way=4, shot=3, query=5, seed=1, labels=data.tensors[1])
    seen = set()
    for index in range(20):
        episode = source[index]
        torch.testing.assert_close(episode.query.x, again[index].query.x, rtol=0, atol=0)
        support, query = (half.x.flatten().long().tolist() for half in episode)
        assert not set(support) & set(query)
        for half, rows in zip(episode, (support, query), strict=True):
            classes = [row % 6 for row in rows]
            of = {label: classes[place] for place, label in enumerate(half.y.tolist())}
            assert [of[label] for label in half.y.tolist()] == classes
            assert len(set(of.values())) == 4
        seen.add(tuple(support))
    assert len(seen) == 20
    first = next(iter(source))
    torch.testing.assert_close(source.batch(0, 2).support.x[0], first.support.x, rtol=0, atol=0)
    with pytest.raises(DataError, match="0 of 6 classes"):
        metacli.episodes(data, way=2, shot=8, query=5)


def test_everything_that_the_package_offers_is_imported_by_its_name() -> None:
    for name in {*metacli._VERBS, *metacli._OTHERS, *metacli._algorithms()} - {"Params"}:
        assert getattr(metacli, name).__name__ == name
        assert name in dir(metacli)
    with pytest.raises(AttributeError, match="MALM"):
        _ = metacli.MALM


def blocks() -> Iterator[str]:
    """The examples of the page, in order."""
    page = Path(__file__).parents[1] / "docs" / "library.md"
    parts = page.read_text(encoding="utf-8").split("```")
    return (part.removeprefix("python\n") for part in parts[1::2] if part.startswith("python"))


def test_the_examples_of_the_page_run_and_learn() -> None:
    torch.manual_seed(0)
    scope: dict[str, list[float]] = {}
    count = 0
    for block in blocks():
        exec(compile(block, "docs/library.md", "exec"), scope)
        count += 1
    assert count >= 3
    for name in ("maml_losses", "protonet_losses", "task_losses"):
        losses = scope[name]
        assert sum(losses[-5:]) < 0.7 * sum(losses[:5]), name
    assert list(itertools.islice(scope["task_losses"], 1))
