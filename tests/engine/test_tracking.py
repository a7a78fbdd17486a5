"""Runs recorded for TensorBoard and MLflow, read back with the programs' own readers."""

import socket
from typing import ClassVar

import pytest

import metacli
from metacli.engine.events import EvaluationDone, RunFinished, RunStarted, StepDone
from metacli.engine.tracking import tracking
from metacli.engine.tracking.tracking import tracked
from metacli.errors import EnvironmentProblem, UsageProblem

RECIPE = "glyphs-5w1s-protonet"
SHORT = ["train.steps=4", "evaluate.every=2", "evaluate.episodes=4", "backbone.width=4"]


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def refused(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)


class Recorded:
    """A tracker that remembers."""

    made: ClassVar[list] = []

    def __init__(self, started, settings):
        self.started, self.settings, self.rows, self.status = started, settings, [], None
        Recorded.made.append(self)

    def scalars(self, values, step):
        self.rows.append((step, dict(values)))

    def close(self, status):
        self.status = status


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    Recorded.made = []
    (tmp_path / "recipe.yaml").write_text("seed: 3\ntrain: {lr: 0.1, clip: null}\n")
    monkeypatch.setattr(tracking, "require_extra", lambda name, purpose: None)
    monkeypatch.setitem(tracking.TRACKERS, "tensorboard", Recorded)
    return Recorded.made


def test_a_tracker_gets_settings_steps_and_validations_of_one_run(recorded, tmp_path):
    seen = []
    with tracked(seen.append, ["tensorboard", "tensorboard"]) as report:
        report(RunStarted(str(tmp_path), "r", 2))
        report(StepDone(1, 2, {"loss": 0.5}))
        report(EvaluationDone(1, "val", {"accuracy": {"mean": 0.7}}, True))
        report(RunFinished(str(tmp_path), "finished", 2))
    assert len(seen) == 4
    (one,) = recorded
    assert one.settings == {"seed": "3", "train.lr": "0.1"}
    assert one.rows == [(1, {"train/loss": 0.5}), (1, {"val/accuracy": 0.7})]
    assert one.status == "finished"


def test_a_training_that_ends_with_an_error_is_closed_as_failed(recorded, tmp_path):
    def training():
        with tracked(lambda event: None, ["tensorboard"]) as report:
            report(RunStarted(str(tmp_path), "r", 2))
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        training()
    assert recorded[0].status == "failed"


def test_each_seed_is_a_run_of_its_own(recorded, tmp_path):
    with tracked(lambda event: None, ["tensorboard"]) as report:
        for _ in range(2):
            report(RunStarted(str(tmp_path), "r", 2))
            report(RunFinished(str(tmp_path), "finished", 2))
    assert [one.status for one in recorded] == ["finished", "finished"]


def test_an_unknown_tracker_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageProblem, match="no such tracker - tensorbord") as refusal:
        metacli.meta_train(RECIPE, SHORT, track=["tensorbord"])
    assert refusal.value.hint == "did you mean tensorboard?"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_its_install_line(tmp_path, monkeypatch):
    monkeypatch.setattr("metacli.engine.extras.find_spec", lambda module: None)
    with pytest.raises(EnvironmentProblem, match="--track mlflow needs mlflow") as refusal:
        metacli.meta_train(RECIPE, SHORT, track=["mlflow"])
    assert refusal.value.hint == "pip install 'metacli[mlflow]'"
    assert list(tmp_path.iterdir()) == []


def test_a_tracking_server_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UsageProblem, match="this machine only"):
        metacli.meta_train(RECIPE, SHORT, track=["mlflow"], out="run")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the warnings of the other programs are theirs
def test_tensorboard_reads_what_a_run_and_its_continuation_wrote(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    metacli.meta_train(RECIPE, SHORT, track=["tensorboard"], out="run")
    more = ["train.steps=6"]
    metacli.meta_train(None, more, resume="run", track=["tensorboard"])
    read = accumulator.EventAccumulator(str(tmp_path / "run/tensorboard"))
    read.Reload()
    losses = [event.step for event in read.Scalars("train/query_loss")]
    assert losses == sorted(set(losses))
    assert losses[-1] == 6
    assert [event.step for event in read.Scalars("val/accuracy")] == [2, 4, 6]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_mlflow_holds_settings_scores_and_status_of_a_resumed_run_as_one(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    metacli.meta_train(RECIPE, SHORT, track=["mlflow"], out="run")
    metacli.meta_train(None, ["train.steps=6"], resume="run", track=["mlflow"])
    client = mlflow.MlflowClient(tracking_uri="sqlite:///runs/mlflow.db")
    (experiment,) = [
        one for one in client.search_experiments() if one.name == "glyphs-5w1s-protonet"
    ]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["backbone.width"] == "4"
    history = client.get_metric_history(run.info.run_id, "val/accuracy")
    assert [one.step for one in history] == [2, 4, 6]
