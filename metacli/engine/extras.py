"""Optional packages: which extra brings them, and the line that installs it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec

from metacli.errors import EnvironmentProblem

EXTRAS: dict[str, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "tune": ("optuna",),
    "tensorboard": ("tensorboard",),
    "hub": ("huggingface_hub",),
    "serve": ("fastapi", "uvicorn"),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
}


def missing(extra: str) -> list[str]:
    """The modules of an extra that are not installed. Imports none of them."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def install_line(extra: str) -> str:
    """pip takes the metacli that is installed, from a checkout too, and adds what is missing."""
    return f"pip install 'metacli[{extra}]'"


def require_extra(extra: str, purpose: str) -> None:
    """Raises EnvironmentProblem with the install line when a module of the extra is missing."""
    if gone := missing(extra):
        raise EnvironmentProblem(
            f"{purpose} needs {', '.join(gone)}, not installed here",
            code="environment.extra_missing",
            hint=install_line(extra),
        )


def version_of(package: str) -> str | None:
    """The installed version of a package; None where it is not installed. One may come in a
    distribution of another name (mlflow in mlflow-skinny)."""
    try:
        return version(package)
    except PackageNotFoundError:
        others = packages_distributions().get(package, ())  # looks at every distribution
    return version(others[0]) if others else None
