"""Model folders on a model hub, through huggingface_hub: the only file that talks to one.

`HF_ENDPOINT` names another hub than the public one, `HF_TOKEN` (or `hf auth login`) who one is.
What comes from there is checked like any model folder: the manifest, the schema, no pickle.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metacli.engine.extras import require_extra
from metacli.engine.models.folder import MODEL, WEIGHTS, from_files
from metacli.engine.storage.paths import HUB_PREFIX
from metacli.engine.storage.writer import MANIFEST, read_folder, write_folder
from metacli.errors import BundleError, DownloadError, EnvironmentProblem, UsageProblem

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HUB = "https://huggingface.co"
CARD = "README.md"  # people edit it on a hub
CLIENTS = ("httpx", "httpx2", "requests", "httpcore", "httpcore2")
LARGEST = 4 << 30  # bytes of a model folder
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class HubName:
    """A model on a hub: ORG/NAME, and a branch, tag or commit (None: its main branch)."""

    name: str
    revision: str | None


def hub_name(words: str) -> HubName:
    """`hf:ORG/NAME` or `ORG/NAME`, perhaps with `@REVISION`.

    Raises:
        UsageProblem: not of that form.
    """
    name, at, revision = words.removeprefix(HUB_PREFIX).partition("@")
    if not _NAME.fullmatch(name) or (at and not re.fullmatch(r"[\w][\w./-]*", revision)):
        raise UsageProblem(
            f"{words!r} is not a name on a hub", hint="ORG/NAME, such as my-team/digits"
        )
    return HubName(name, revision or None)


@dataclass(frozen=True)
class Uploaded:
    """Args: url: the page of the model. revision: the commit."""

    url: str
    revision: str


def upload(folder: Path, to: HubName, *, private: bool) -> Uploaded:
    """Send a verified model folder in one commit; the repository is made where there is none.

    Raises:
        EnvironmentProblem: huggingface_hub is not installed, or the hub does not know one.
        DownloadError: the hub cannot be reached, or refused.
    """
    with hub(f"push to {to.name}") as api:
        api.create_repo(to.name, private=private, exist_ok=True)
        made = api.upload_folder(
            repo_id=to.name,
            folder_path=folder,
            revision=to.revision,
            commit_message="metacli model",
        )
        return Uploaded(f"{api.endpoint}/{to.name}", str(made.oid))


@dataclass(frozen=True)
class Brought:
    """Args: revision: the commit that it is of. bytes: of its files."""

    revision: str
    bytes: int


def bring(name: HubName, target: Path, *, replace: bool) -> Brought:
    """Download a model folder to `target`: whole and checked, or not at all.

    Raises:
        DownloadError: no such model, or the hub cannot be reached.
        BundleError: it is not a model folder of metacli, or damaged.
        EnvironmentProblem: huggingface_hub is not installed.
    """
    with hub(f"fetch {name.name}") as api, tempfile.TemporaryDirectory() as temporary:
        info = api.model_info(name.name, revision=name.revision, files_metadata=True)
        sizes = {one.rfilename: one.size or 0 for one in info.siblings or []}
        if not {MODEL, WEIGHTS, MANIFEST} <= set(sizes):
            raise BundleError(
                "not a model of metacli", code="model.not_found", where=f"{HUB_PREFIX}{name.name}"
            )
        ours = [one for one in sizes if "/" not in one and not one.startswith(".")]
        total = sum(sizes[one] for one in ours)
        if total > LARGEST:
            message = f"{total:,} bytes, more than a model folder has"
            raise BundleError(message, code="model.size", where=f"{HUB_PREFIX}{name.name}")
        for one in ours:
            api.hf_hub_download(name.name, one, revision=info.sha, local_dir=temporary)
        listed = read_folder(Path(temporary), edited=(CARD,), others=(".cache", *ignored(sizes)))
        from_files(listed, target)  # refuses what is no model before anything is in place
    write_folder(target, listed, replace=replace)
    return Brought(str(info.sha), total)


def ignored(names: dict[str, int]) -> list[str]:
    """Files of a repository that are not of a model."""
    return [one.partition("/")[0] for one in names if "/" in one or one.startswith(".")]


@contextmanager
def hub(purpose: str) -> Iterator[HfApi]:
    """The hub's interface, its errors in our words."""
    require_extra("hub", purpose)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from huggingface_hub import HfApi
    from huggingface_hub import errors as theirs

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="metacli")
    try:
        yield api
    except theirs.RepositoryNotFoundError:
        hint = "check the name; a private one needs HF_TOKEN"
        raise DownloadError(f"{purpose}: no such model", code="hub.not_found", hint=hint) from None
    except theirs.RevisionNotFoundError:
        raise DownloadError(f"{purpose}: no such revision", code="hub.not_found") from None
    except theirs.LocalTokenNotFoundError:
        raise EnvironmentProblem(
            f"{purpose}: the hub does not know who you are",
            code="hub.token",
            hint="set HF_TOKEN, or hf auth login",
        ) from None
    except theirs.HfHubHTTPError as error:
        status = error.response.status_code
        right = "HF_TOKEN needs the right to write there" if status in (401, 403) else None
        message = f"{purpose}: the hub answered {status}"
        raise DownloadError(message, code="hub.refused", hint=right) from None
    except Exception as error:
        # The library's HTTP client has changed its name from version to version.
        absent = isinstance(error, theirs.OfflineModeIsEnabled | theirs.LocalEntryNotFoundError)
        if not absent and type(error).__module__.partition(".")[0] not in CLIENTS:
            raise
        message = f"{purpose}: the hub cannot be reached: {type(error).__name__}"
        raise DownloadError(message, code="hub.unreachable", where=str(api.endpoint)) from None
