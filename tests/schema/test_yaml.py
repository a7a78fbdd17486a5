"""The reader of recipe text: YAML 1.2 scalars, line numbers, and what it refuses."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metacli.errors import MetacliError, RecipeError
from metacli.schema import yaml as reader

GOOD = b"""\
# A recipe.
#   metacli meta-train x

version: 1
data: {source: glyphs, list: [1, 2.5, a]}
train:
  lr: 1e-3
  text: "quoted \\u00e9"
"""


def value_of(text: str) -> object:
    return reader.read(f"k: {text}\n".encode(), "my.yaml").value["k"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-1.5e+2", -150.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("+7", 7),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("e3", "e3"),
        ("1e", "1e"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("[]", []),
        ("[3, 20]", [3, 20]),
        ("{a: 1e-2}", {"a": 0.01}),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_item_knows_its_line():
    document = reader.read(GOOD, "my.yaml")
    assert document.lines == {
        ("version",): 4,
        ("data",): 5,
        ("data", "source"): 5,
        ("data", "list"): 5,
        ("data", "list", "0"): 5,
        ("data", "list", "1"): 5,
        ("data", "list", "2"): 5,
        ("train",): 6,
        ("train", "lr"): 7,
        ("train", "text"): 8,
    }
    assert document.value["train"] == {"lr": 0.001, "text": "quoted é"}


def test_header_is_the_first_comment_block_without_its_marks():
    assert reader.read(GOOD, "my.yaml").header == "A recipe.\n  metacli meta-train x"
    assert reader.header_of("\n\n# a\n#\n# b\nk: 1\n# c\n") == "a\n\nb"
    assert reader.header_of("k: 1\n# c\n") == ""


def test_byte_order_mark_and_windows_line_ends_are_accepted():
    document = reader.read(b"\xef\xbb\xbf# top\r\nseed: 3\r\nkind: meta\r\n", "my.yaml")
    assert document.value == {"seed": 3, "kind": "meta"}
    assert document.header == "top"
    assert document.lines[("kind",)] == 3


def test_duplicate_keys_are_all_reported_with_both_lines():
    document = reader.read(b"a: 1\nb:\n  c: 1\n  c: 2\na: 2\n", "my.yaml")
    assert [(f.code, f.where) for f in document.findings] == [
        ("recipe.duplicate_key", "my.yaml:4"),
        ("recipe.duplicate_key", "my.yaml:5"),
    ]
    assert document.findings[0].message == "b.c is given twice, first on line 3"
    assert document.value == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (b"a: 1\nb: &x 1\n", "recipe.alias", "my.yaml:2"),
        (b"a: &x 1\nb: *x\n", "recipe.alias", "my.yaml:1"),
        (b"b: *x\n", "recipe.alias", "my.yaml:1"),
        (b"a: 1\n<<: {b: 2}\n", "recipe.alias", "my.yaml:2"),
        (b"a: !!python/object/apply:os.system [ls]\n", "recipe.tag", "my.yaml:1"),
        (b"a: !!str 1\n", "recipe.tag", "my.yaml:1"),
        (b"[" * 5000, "recipe.too_deep", "my.yaml:1"),
        (b"a: " + b"{b: " * 5000, "recipe.too_deep", "my.yaml:1"),
        (b"- " * 5000, "recipe.too_deep", "my.yaml:1"),
        (b"? " * 5000, "recipe.too_deep", "my.yaml:1"),
        (b"a: 1\nb: [1, 2\n", "recipe.syntax", "my.yaml:3"),
        (b"a: 1\n\tb: 2\n", "recipe.syntax", "my.yaml:2"),
        (b"a: 1\nb: \xff\n", "recipe.syntax", "my.yaml:2"),
        (b"a: 1\nb: \x00\n", "recipe.syntax", "my.yaml:2"),
        (b'a: "\\U0011FFFF"\n', "recipe.syntax", "my.yaml:1"),
        (b'a: "\\uD800"\n', "recipe.syntax", "my.yaml:1"),
        (b'a: "\\0"\n', "recipe.syntax", "my.yaml:1"),
        (b"a: 1\n---\nb: 2\n", "recipe.syntax", "my.yaml:2"),
        (b"- 1\n- 2\n", "recipe.syntax", "my.yaml:1"),
        (b"just words\n", "recipe.syntax", "my.yaml:1"),
        (b"[a]: 1\n", "recipe.syntax", "my.yaml:1"),
        (b"a: " + b"9" * 5000, "recipe.invalid", "my.yaml:1"),
        (b"", "recipe.empty", "my.yaml"),
        (b"# only a comment\n", "recipe.empty", "my.yaml"),
        (b"a: 1\n" + b"#" * reader.MAX_BYTES, "recipe.too_large", "my.yaml"),
        (b"a: 1\n" * reader.MAX_VALUES, "recipe.too_large", "my.yaml:5000"),
    ],
)
def test_what_a_recipe_never_needs_is_refused_with_its_line(data, code, where):
    with pytest.raises(RecipeError) as caught:
        reader.read(data, "my.yaml")
    assert (caught.value.code, caught.value.where) == (code, where)


def test_a_merge_key_in_quotes_is_an_ordinary_key():
    assert reader.read(b'"<<": 1\n', "x").value == {"<<": 1}


def test_an_alias_bomb_is_refused_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    start = time.perf_counter()
    with pytest.raises(RecipeError, match="anchors"):
        reader.read("\n".join(lines).encode(), "bomb.yaml")
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        (" 5 ", 5),
        ("no", "no"),
        ("", None),
        ("null", None),
        ("true", True),
        ("[3, 20]", [3, 20]),
        ("[]", []),
        ("'5'", "5"),
        ('"a b"', "a b"),
        ("*.png", "*.png"),
        ("&x", "&x"),
        ("a: b # c", "a: b # c"),
        ("a=b", "a=b"),
        ("C:\\data", "C:\\data"),
        ("@x", "@x"),
        ("%x", "%x"),
    ],
)
def test_override_values_are_scalars_or_flow_lists(text, value):
    found = reader.read_value(text, "command line")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["[1", "{a: 1}", "'x", "[*a]", "[" * 5000, '"\\x"', "['a', {}"])
def test_broken_override_values_name_the_command_line(text):
    with pytest.raises(RecipeError) as caught:
        reader.read_value(text, "command line")
    assert caught.value.where == "command line"


plain_text = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False),
    plain_text,
    st.sampled_from(["1e-3", "no", "0o17", "0x1F", "~", "<<", "=", "1_0", "1:30", "-", "? a", "#"]),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=6)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(plain_text, st.one_of(values, st.dictionaries(plain_text, values))))
@example({"a": "1e-3", "b": 1e-3, "c": "0o17", "d": 1e22, "e": "\udc80", "f": "\x85\u2028 x "})
def test_what_is_written_reads_back_equal(mapping):
    text = reader.write(mapping)
    found = reader.read(text.encode("utf-8"), "x").value if mapping else {}
    assert found == mapping
    assert repr(found) == repr(mapping)  # also the types: 1 is not 1.0 and not True


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_bytes_give_a_value_or_a_recipe_error(data):
    raw = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw)))
        piece = data.draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from(
                    [b"[", b"{", b"&a ", b"*a", b"<<: ", b"!!x ", b'"\\U', b"%YAML 9", b"|\n", b"?"]
                ),
            )
        )
        raw[at : at + data.draw(st.integers(0, 4))] = piece
    value = code = where = None
    try:
        value = reader.read(bytes(raw), "x").value
    except MetacliError as error:
        code, where = error.exit_code, error.where
    assert isinstance(value, dict) or (code == 3 and where is not None)
