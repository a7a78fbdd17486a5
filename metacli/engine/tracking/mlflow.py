"""Runs in an MLflow database: `mlflow ui --backend-store-uri sqlite:///runs/mlflow.db`.

`MLFLOW_TRACKING_URI` names another database of this machine. A server is refused: training opens no
socket.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from metacli.engine.events import RunStarted
from metacli.engine.storage.paths import RUNS
from metacli.errors import UsageProblem

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST = 6000  # characters of a parameter's value that MLflow takes
BATCH = 1000  # values that it takes at once
FOLDER = "metacli.run"  # the tag by which a resumed run is found again
STATUSES = {"finished": "FINISHED", "interrupted": "KILLED"}


class MLflowRun:
    def __init__(self, started: RunStarted, settings: Mapping[str, str]) -> None:
        self._client = client()
        experiment = self._client.get_experiment_by_name(started.recipe)
        number = (
            self._client.create_experiment(started.recipe)
            if experiment is None
            else experiment.experiment_id
        )
        folder = str(Path(started.run).absolute())
        found = self._known(number, folder) if started.first_step else None
        if found is None:
            found = self._client.create_run(
                number, run_name=Path(folder).name, tags={FOLDER: folder}
            ).info.run_id
            for name, value in settings.items():
                self._client.log_param(found, name, value[:LONGEST])
        else:
            self._client.set_terminated(found, "RUNNING")
        self._run = found

    def _known(self, experiment: str, folder: str) -> str | None:
        """The record of the run that is resumed."""
        of_folder = f"tags.`{FOLDER}` = '{folder}'"
        runs = self._client.search_runs([experiment], of_folder, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self, status: str) -> None:
        self._client.set_terminated(self._run, STATUSES.get(status, "FAILED"))


def client() -> MlflowClient:
    """Raises UsageProblem where MLFLOW_TRACKING_URI is a server."""
    # MLflow reports its own use to a server unless it is told not to before it is imported.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    place = os.environ.get("MLFLOW_TRACKING_URI", "")
    if place and not place.startswith(("sqlite:", "file:", "/")):
        raise UsageProblem(
            f"--track mlflow writes to this machine only, and MLFLOW_TRACKING_URI is {place}",
            hint="unset MLFLOW_TRACKING_URI, or sqlite:///FILE.db",
        )
    if not place:
        RUNS.mkdir(parents=True, exist_ok=True)
        place = f"sqlite:///{RUNS / 'mlflow.db'}"
    return MlflowClient(tracking_uri=place)
