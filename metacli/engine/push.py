"""`push`: send a model to a hub. With `fetch` and `serve` the only verb that opens a socket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from metacli.engine.encoders.pretrained import NETWORKS
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.extras import require_extra
from metacli.engine.hub import HUB, hub_name, upload
from metacli.engine.models.document import validated
from metacli.engine.models.folder import from_files
from metacli.engine.results.push import PushResult
from metacli.engine.storage.paths import MODEL_FILE, find_run_or_model, offline
from metacli.engine.storage.writer import MANIFEST, read_folder
from metacli.errors import BundleError, DownloadError


def push(
    model: str | Path,
    name: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> PushResult:
    """Send a model folder to a hub as it is; `fetch hf:ORG/NAME` brings it back.

    Args:
        model: a model folder, or a run with one.
        name: ORG/NAME, perhaps with `@BRANCH`.
        private: for a repository that is made now.

    Raises:
        UsageProblem: no such form of name.
        BundleError: no model, or a damaged one.
        EnvironmentProblem: the extra `hub` is not installed, or the hub does not know you.
        DownloadError: the hub cannot be reached or refused, or METACLI_OFFLINE is set.
    """
    to = hub_name(name)
    require_extra("hub", "push")
    folder = model_folder(str(model))
    files = read_folder(folder)
    from_files(files, folder)
    require_whole(files, folder)
    size = sum(map(len, files.values()))
    names = (*sorted(files), MANIFEST)
    page = f"{os.environ.get('HF_ENDPOINT', HUB).rstrip('/')}/{to.name}"
    if dry_run:
        return PushResult(to.name, page, None, folder, names, size)
    if offline():
        raise DownloadError(
            f"{to.name} is on a hub, and METACLI_OFFLINE is set",
            code="push.offline",
            hint="unset METACLI_OFFLINE; -n checks the model without a network",
        )
    report(Progress(f"sending {folder.name}", 0, None))
    sent = upload(folder, to, private=private)
    return PushResult(to.name, sent.url, sent.revision, folder, names, size)


def require_whole(files: Mapping[str, bytes], folder: Path) -> None:
    """Raises BundleError for a model on a network that only this machine is known to have."""
    encoder = validated(files[MODEL_FILE]).encoder
    if encoder is not None and encoder.name not in NETWORKS:
        raise BundleError(
            f"the folder names its encoder {encoder.name} by its hash, and others do not have it",
            code="model.encoder",
            where=str(folder),
            hint="make the model again with --standalone, which puts the encoder into the folder",
        )


def model_folder(name: str) -> Path:
    """The model folder that MODEL means; of a run its `model`."""
    path = find_run_or_model(name)
    for candidate in (path, path / "model"):
        if (candidate / MODEL_FILE).is_file():
            return candidate
    hint = f"metacli inspect {name}"
    raise BundleError("no model in there", code="model.not_found", where=str(path), hint=hint)
