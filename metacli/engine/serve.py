"""`serve`: models behind HTTP. With `fetch` and `push` the only verb that opens a socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metacli.engine.events import Reporter, ignore
from metacli.engine.extras import require_extra
from metacli.engine.results.serve import ServeResult
from metacli.engine.serving.limits import Limits
from metacli.engine.storage.paths import RUNS
from metacli.errors import UsageProblem

FOLDER = RUNS / "served"


def serve(
    models: str | Path | Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    dry_run: bool = False,
    report: Reporter = ignore,
) -> ServeResult:
    """Answer requests until SIGINT or SIGTERM: predictions, adaptations to a few examples, the page
    at `/`. `METACLI_TOKEN` in the environment is asked of every client.

    Args:
        models: models, runs or sources such as `photos`.
        host: an address of this machine; that of the loopback reaches nobody else.
        port: 0 takes any that is free.
        out: the folder of adapted models; default `runs/served`. One server at a time uses it.

    Raises:
        BundleError: no such model, or it is damaged.
        UsageProblem: no model, two of one name, or a limit below 1.
        EnvironmentProblem: the extra `serve` is not installed, the address is in use, or another
            server has the folder.
    """
    names = [str(models)] if isinstance(models, str | Path) else list(map(str, models))
    if not names:
        raise UsageProblem("serve wants a model", hint="metacli serve photos")
    require_extra("serve", "serve")
    from metacli.engine.serving.running import Place, serving  # the packages of the extra

    place = Place(host, port, Path(out or FOLDER).absolute(), device)
    return serving(names, place, limits or Limits(), report, dry_run=dry_run)
