"""Texts that a user can meet speak plain English in the terms of the field."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sources import tree_of

ROOT = Path(__file__).resolve().parents[1]
# Phrase (a regular expression, whole words) -> what to write instead.
FORBIDDEN = {
    r"pictures?": "image",
    r"ways? of transfer": "transfer method",
    r"anew": "again",
    r"go(?:es|ne)? on with": "resume, continue",
    r"and (?:its|their) kin": "family",
    r"(?:it|that) has never seen": "unseen",
    r"beyond doubt": "clearly",
    r"numbers in the model": "parameters",
    r"writes? it down": "saves it",
    r"the very same": "the same",
    r"is told from": "is distinguished from",
    r"(?:are|is) worth on": "difference on",
    r"will do": "is accepted",
    r"of one's own": "own",
    r"nothing came on": "is empty",
    r"what was learned on": "use it on",
    r"hand over": "give",
    r"beside itself": "compared with",
    r"stopped by signal": "stopped",
    r"the state is saved": "progress saved",
    r"the reader of the pipe": "output pipe closed",
}
KEPT = {  # names that users and files have already
    "pictures",  # a key of the JSON document
    "pictures-hard",  # a recipe that `multitask` makes
    "28x28 Lanczos of the one-bit picture, paper 255",  # part of a digest
    "picture",  # in codes of findings
}
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "metacli/README.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module that can reach a user: every string but the docstrings of what is not
    a command, since those of commands are their help."""
    tree = tree_of(path)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.add(id(first.value))
    commands = path.parent.name == "cli"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if node.value not in KEPT and (commands or id(node) not in docstrings):
            yield node.lineno, node.value


def found(text: str) -> list[str]:
    return [
        f"{match[0]!r} (write: {better})"
        for phrase, better in FORBIDDEN.items()
        for match in re.finditer(rf"\b{phrase}\b", text)
    ]


def test_the_phrases_are_found_where_they_stand() -> None:
    assert found("a picture of it") == ["'picture' (write: image)"]
    assert found("resumes bit for bit") == []


def test_messages_help_and_reports_use_no_forbidden_phrase() -> None:
    modules = sorted((ROOT / "metacli").rglob("*.py"))
    assert len(modules) > 200
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {one}"
        for path in modules
        for line, text in strings(path)
        for one in found(text)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", PAGES)
def test_pages_use_no_forbidden_phrase(name: str) -> None:
    assert found((ROOT / name).read_text(encoding="utf-8")) == []


def test_recipes_open_with_no_forbidden_phrase() -> None:
    recipes = sorted((ROOT / "recipes").glob("*.yaml"))
    assert recipes
    assert {path.name: found(path.read_text(encoding="utf-8")) for path in recipes} == {
        path.name: [] for path in recipes
    }


@pytest.mark.parametrize("phrase", ["pictures?", "ways? of transfer", "anew"])
def test_code_and_its_comments_use_the_terms_of_the_field(phrase: str) -> None:
    word, found = re.compile(rf"\b{phrase}\b", re.IGNORECASE), []
    for path in sorted((ROOT / "metacli").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for kept in KEPT:
            text = text.replace(f'"{kept}"', "")
        found += [f"{path.name}: {line.strip()}" for line in text.splitlines() if word.search(line)]
    assert found == []
