"""A report about texts and rows of tables: what they say stands on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_adapt_rows import TOPICS, WORDS, write_texts, write_town
from test_adapt_rows import number_model as number_model
from test_adapt_rows import text_model as text_model
from test_feature_source import embeddings, write
from test_report import read

from metacli.data.tables.reader import parse_table
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Event, Notice
from metacli.engine.models.folder import load
from metacli.engine.report import report
from metacli.engine.reporting.words import LONGEST, in_words

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_learner_of_texts_shows_sample_tasks_and_what_it_confuses(text_model: str) -> None:
    report(text_model)
    page = read()
    assert {"Sample tasks", "Confusions"} <= set(page.texts["h2"])
    spoken = {f"{words} {topic} {topic}s" for words in WORDS for topic in TOPICS}
    shown = [text for text in page.texts["td"] if text in spoken]
    assert len(shown) >= 8
    assert not page.all("img")


def test_an_adapted_model_of_texts_shows_its_texts_and_confused_pairs(text_model: str) -> None:
    write_texts(Path("mine.csv"), TOPICS[:3])
    adapt(text_model, "mine.csv", out="mine")
    Path("more.csv").write_text(
        "text,label\n" + "".join(f"{topic} <b>&{topic},{TOPICS[0]}\n" for topic in TOPICS[1:3])
    )
    adapt("mine", "more.csv", add=True, out="mine2", allow_duplicates=True)
    Path("new.csv").write_text(f"text,label\nabout {TOPICS[1]} in the garden,{TOPICS[0]}\n")
    result = evaluate("mine2", "new.csv")
    assert result["mean"] == 0.0
    report("mine2", out="mine.html")
    page = read("mine.html")
    cells = page.texts["td"]
    assert f"{WORDS[0]} {TOPICS[2]} {TOPICS[2]}s" in cells  # an example
    assert f"and {len(WORDS) + 2 - 3} more" in cells
    at = cells.index("1 of 1")
    taken_for = cells[at - 1]
    assert taken_for in TOPICS[1:3]
    assert cells[at + 1 : at + 3] == [
        f"{WORDS[0]} {TOPICS[0]} {TOPICS[0]}s",
        f"{WORDS[0]} {taken_for} {taken_for}s",
    ]


def test_rows_are_shown_by_their_cells_and_numbers_with_their_target(number_model: str) -> None:
    write_town(Path("mine.csv"), 11, rows=14)
    adapt(number_model, "mine.csv", out="mine")
    report("mine", out="mine.html")
    page = read("mine.html")
    first = Path("mine.csv").read_text().splitlines()[1].split(",")
    assert f"price {first[2]}, size {first[0]}, kind {first[1]}" in page.texts["td"]
    assert "and 4 more" in page.texts["td"]
    x, y = embeddings(30)
    write("columns.csv", x, [f"c{n}" for n in y])
    adapt("features", "columns.csv", out="classes")
    report("classes", out="classes.html")
    wanted = ", ".join(f"e{i} {value:g}" for i, value in enumerate(x[0].tolist()))
    assert wanted in read("classes.html").texts["td"]


def test_examples_that_are_gone_are_not_shown_which_is_reported(text_model: str) -> None:
    write_texts(Path("mine.csv"), TOPICS[:2])
    adapt(text_model, "mine.csv", out="mine")
    Path("mine.csv").unlink()
    said: list[Event] = []
    report("mine", out="mine.html", report=said.append)
    assert any(isinstance(one, Notice) and one.code == "report.no_examples" for one in said)
    assert "What it was adapted on" not in read("mine.html").texts["h2"]
    assert load(Path("mine")).classes == TOPICS[:2]


def test_a_row_in_words_is_one_short_line() -> None:
    assert in_words(["two\nlines  \x1b[31m"])(0).startswith("two lines")
    assert "\x1b" not in in_words(["\x1b[31m"])(0)
    assert len(in_words(["word " * 100])(0)) == LONGEST
    header = ",".join(f"c{number}" for number in range(12))
    table = parse_table(f"{header}\n{'1,' * 10},\n".encode(), "csv", "t")
    assert in_words(table, ["c1", "c10", "gone"])(0) == "c1 1, c10 -"
    assert in_words(table)(0).endswith("c7 1 and 4 more")
