"""A network of others as the source of `adapt`: real architectures with small random weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from small_runs import tree
from tiny_models import saved, tiny_model
from torchvision import models

from metacli.data.catalogue import registry
from metacli.data.catalogue.entries import plain_archive
from metacli.data.catalogue.weights import WEIGHTS, fetched_weights
from metacli.data.user.open import load_task
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.fetch import fetch
from metacli.engine.models.folder import load
from metacli.engine.predict import predict
from metacli.errors import BundleError, DataError, DownloadError, UsageProblem
from metacli.nn.backbones.torchvision_backbones import arch_of

pytestmark = pytest.mark.usefixtures("workplace")
ARCH = "shufflenet_v2_x1_0"  # the smallest
SMALL = ["data.size=32"]


def random_weights(arch: str = ARCH) -> dict[str, torch.Tensor]:
    """torchvision's network with the statistics of a network that has seen something."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = models.get_model(arch, weights=None)
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None
        network.train()(torch.randn(8, 3, 64, 64))
    return {name: value.contiguous() for name, value in network.state_dict().items()}


@pytest.fixture
def weights() -> str:
    save_file(random_weights(), "mine.safetensors")
    return "mine.safetensors"


@pytest.fixture
def task() -> str:
    """A class is a pattern with a little noise."""
    rng = np.random.default_rng(0)
    for label, count in {"ant": 4, "bee": 4, "cat": 3}.items():
        pattern = np.kron(rng.integers(0, 2, (4, 4, 3)), np.ones((8, 8, 1))) * 200 + 20
        Path("task", label).mkdir(parents=True)
        for number in range(count):
            noisy = pattern + rng.integers(0, 30, pattern.shape)
            Image.fromarray(noisy.astype(np.uint8)).save(Path("task", label, f"{number}.png"))
    return "task"


@pytest.fixture
def in_registry(weights: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The random weights as if they were published; a folder of the user's own has them."""
    content = Path(weights).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    archive = plain_archive(f"{ARCH}.safetensors", (), len(content), "", digest, "made here")
    entry = registry.DataSet(
        **{**vars(WEIGHTS[0]), "name": ARCH, "archives": (archive,)}  # the rest is as theirs
    )
    monkeypatch.setitem(registry.DATASETS, ARCH, entry)
    folder = Path("downloads")
    folder.mkdir()
    (folder / f"{ARCH}.safetensors").write_bytes(content)
    return folder


def test_a_local_file_is_adapted_by_a_linear_probe_of_its_features(weights: str, task: str) -> None:
    result = adapt(weights, task, SMALL, out="mine")
    assert (result["method"], result["score"]["how"]) == ("linear-probe", "kfold:3")
    made = load(Path("mine"))
    assert made.provenance["weights"] == {
        "file": "mine.safetensors",
        "sha256": hashlib.sha256(Path(weights).read_bytes()).hexdigest(),
    }
    assert made.inputs.shape == (3, 32, 32)
    Path(weights).unlink()  # the model has its own
    rows = predict("mine", f"{task}/ant")["rows"]
    assert {row["prediction"] for row in rows} <= {"ant", "bee", "cat"}
    assert evaluate("mine", task, allow_duplicates=True)["mean"] == 1.0


def test_the_probabilities_are_scikit_learns_on_torchvisions_features(
    weights: str, task: str
) -> None:
    adapt(weights, task, [*SMALL, "penalty=0.5"], out="mine")
    made = load(Path("mine"))
    examples = load_task(Path(task), made.inputs.image()).support
    network = models.get_model(ARCH, weights=None)
    network.load_state_dict(random_weights())
    network.fc = torch.nn.Identity()
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.no_grad():
        features = (
            network.eval()((torch.from_numpy(examples.x) / 255 - mean) / std).double().numpy()
        )
    middle = features.mean(0)
    z = (features - middle) / np.sqrt(np.square(features - middle).sum(1).mean())
    model = LogisticRegression(C=2.0, tol=1e-10, max_iter=100_000).fit(z, examples.y)
    rows = predict("mine", task)["rows"]
    found = {row["input"]: list(row["probabilities"].values()) for row in rows}
    wanted = dict(zip(examples.names, model.predict_proba(z), strict=True))
    for name, chances in found.items():
        key = next(one for one in wanted if name.endswith(one))
        np.testing.assert_allclose(chances, wanted[key], atol=2e-5)  # the network is in float32


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2", "regnet_y_400mf", ARCH])
@pytest.mark.slow
def test_the_network_is_found_by_its_weights(arch: str) -> None:
    with torch.random.fork_rng(devices=[]):
        tensors = models.get_model(arch, weights=None).state_dict()
    assert arch_of(tensors) == arch
    without = {name: value for name, value in tensors.items() if "running_mean" not in name}
    assert arch_of(without) is None


@pytest.mark.slow
def test_a_residual_network_is_fine_tuned_exported_and_says_the_same(task: str) -> None:
    save_file(random_weights("resnet18"), "resnet.safetensors")
    settings = [*SMALL, "lr=1e-3", "steps=2"]
    adapt("resnet.safetensors", task, settings, method="fine-tune", out="mine", holdout=0.3)
    assert export("mine", format="pt2")["parity"]["max_abs"] <= 1e-5
    assert export("mine", format="onnx")["parity"]["max_abs"] <= 1e-5


def test_fetched_weights_are_a_source_by_name_and_nothing_is_downloaded(
    in_registry: Path, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BundleError) as caught:
        adapt(ARCH, task, SMALL)
    assert caught.value.code == "weights.not_fetched"
    assert caught.value.hint == f"metacli fetch {ARCH}"
    with pytest.raises(DownloadError):
        fetch(ARCH)  # it has no address
    found = fetch(ARCH, from_path=str(in_registry))
    assert (found["name"], found["from_cache"]) == (ARCH, False)
    monkeypatch.setenv("METACLI_MIRROR", str(in_registry))
    assert fetch(ARCH)["from_cache"] is True
    result = adapt(ARCH, task, SMALL, method="prototype", out="mine")
    assert result["from"].endswith(f"{ARCH}.safetensors")
    assert load(Path("mine")).provenance["weights"]["file"] == f"{ARCH}.safetensors"


def test_altered_weights_are_refused_when_fetched_and_when_used(
    in_registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "cache"))
    file = in_registry / f"{ARCH}.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(ARCH, from_path=str(file))
    assert not (tmp_path / "cache" / ARCH).exists()
    file.write_bytes(good)
    fetch(ARCH, from_path=str(file))
    kept = fetched_weights(ARCH, tmp_path / "cache")
    kept.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(DataError, match="damaged"):
        fetched_weights(ARCH, tmp_path / "cache")


def test_a_pickle_is_refused_by_its_first_bytes_whatever_it_is_called(task: str) -> None:
    for number, save in enumerate((True, False)):
        name = f"w{number}.safetensors"
        torch.save({"a": torch.zeros(2)}, name, _use_new_zipfile_serialization=save)
        with pytest.raises(BundleError, match="pickle") as caught:
            adapt(name, task)
        assert "save_file" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("tensors", "options", "code"),
    [
        ({"a": torch.zeros(2)}, [], "weights.unknown"),
        ({"a": torch.zeros(2)}, ["backbone.arch=resnet18"], "weights.mismatch"),
        ({"a": torch.zeros(2)}, ["backbone.arch=resnet19"], "weights.unknown"),
    ],
)
def test_weights_of_another_network_are_refused(
    tensors: dict[str, torch.Tensor], options: list[str], code: str, task: str
) -> None:
    save_file(tensors, "w.safetensors")
    before = tree(".")
    with pytest.raises(BundleError) as caught:
        adapt("w.safetensors", task, [*SMALL, *options])
    assert caught.value.code == code
    assert tree(".") == before


@pytest.mark.parametrize("size", ["8", "5000", "big"])
def test_a_size_out_of_range_is_refused(weights: str, task: str, size: str) -> None:
    with pytest.raises(UsageProblem, match=r"data\.size"):
        adapt(weights, task, [f"data.size={size}"])


def test_options_of_a_backbone_are_not_for_a_model_of_metacli(task: str) -> None:
    model = saved(tiny_model(), Path("source"))
    with pytest.raises(UsageProblem, match="model of metacli"):
        adapt(model, task, SMALL)


def test_networks_of_others_and_own_models_are_ranked_together(weights: str, task: str) -> None:
    model = saved(tiny_model(), Path("source"))
    result: dict[str, Any] = adapt([model, weights], task, SMALL, out="mine")
    names = {Path(one["model"]).name for one in result["sources"]}
    assert names == {"source", "mine.safetensors"}
    wanted = "linear-probe" if result["from"].endswith(".safetensors") else "native"
    assert result["method"] == wanted
