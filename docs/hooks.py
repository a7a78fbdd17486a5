"""What the documentation takes from the project while it is built: the help of every command, the
keys of a recipe, the results files, and pages that stand outside `docs/`."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel

from metacli.cli.app import COMMANDS, main
from metacli.schema.recipe import KINDS, block_of

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {  # the project's own pages, by what links call them
    "CHANGELOG.md": "about/changelog.md",
    "metacli/README.md": "about/architecture.md",
    "benchmarks/README.md": "results/balancing.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    made = {
        "reference/commands.md": commands(),
        "reference/recipes.md": recipes(),
        **{page: (ROOT / path).read_text(encoding="utf-8") for path, page in OUTSIDE.items()},
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    for path in sorted((ROOT / "benchmarks" / "results").rglob("*.json*")):
        name = f"data/{path.relative_to(ROOT / 'benchmarks' / 'results').as_posix()}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    for path in sorted((ROOT / "benchmarks" / "protocols").glob("*.md")):
        files.append(File.generated(config, f"protocols/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links out of `docs/` lead to the copies on the site."""
    up = "../" * page.file.src_uri.count("/")

    def moved(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        path = target.lstrip("./")
        if page.file.src_uri == "results/balancing.md" and path.startswith("results/"):
            path = f"benchmarks/{path}"
        if path.startswith("benchmarks/results/"):
            return f"]({up}data/{path.removeprefix('benchmarks/results/')}{anchor})"
        if path.startswith("benchmarks/protocols/"):
            return f"]({up}{path.removeprefix('benchmarks/')}{anchor})"
        if path in OUTSIDE:
            return f"]({up}{OUTSIDE[path]}{anchor})"
        if page.file.src_uri in OUTSIDE.values() and path.startswith("docs/"):
            return f"]({up}{path.removeprefix('docs/')}{anchor})"
        return match[0]

    return re.sub(r"\]\(((?:\.\./)*[\w./-]+)(#[\w-]+)?\)", moved, markdown)


def commands() -> str:
    """The help of every command, as it is printed."""
    pages = [
        "# Commands\n",
        *(f"## metacli {name}\n\n```text\n{help_of(name)}```\n" for name in COMMANDS),
    ]
    return "\n".join(pages)


def help_of(name: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        if main([name, "--help"]) != 0:
            raise SystemExit(f"metacli {name} --help failed")
    return out.getvalue()


def recipes() -> str:
    """Every key of every kind of recipe, with its type and default."""
    lines = [
        "# Recipes",
        "",
        "A recipe is one YAML file for one training run. `metacli recipes show NAME` prints one "
        "with every setting; on the command line a setting is `KEY=VALUE`, such as "
        "`train.lr=1e-3`. Blocks that name something (`data`, `backbone`, `algorithm`, ...) take "
        "its fields as further keys.",
    ]
    for kind, model in KINDS.items():
        summary = (model.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        lines += ["", f"## kind: {kind}", "", summary, ""]
        lines += ["| key | type | default |", "| --- | --- | --- |", *rows(model, "")]
    return "\n".join(lines) + "\n"


def rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        block = block_of(field.annotation)
        if block is not None and (field.is_required() or field.default_factory or not prefix):
            yield from rows(block, f"{prefix}{name}.")
        elif name not in ("options", "replace"):
            default = (
                "required"
                if field.is_required()
                else f"`{field.get_default(call_default_factory=True)}`"
            )
            yield f"| `{prefix}{name}` | {type_name(field.annotation)} | {default} |"


def type_name(annotation: object) -> str:
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    name = re.sub(r"Annotated\[([^,\]]+),.*\]", r"\1", name.replace("typing.", ""))
    return f"`{name}`".replace("|", "\\|")
