"""Single values of the core schema of YAML 1.2: what a word without quotes means."""

from __future__ import annotations

import re

from metacli.errors import RecipeError

MAX_DIGITS = 400  # longer whole numbers are no setting, and int() on them is slow

TAG = "tag:yaml.org,2002:"
CORE: tuple[tuple[str, str, str], ...] = (  # tag, pattern, first characters
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)
PATTERNS = {kind: re.compile(rf"(?:{pattern})\Z") for kind, pattern, _ in CORE}
# A byte of a file name that is not UTF-8 travels as U+DC80..U+DCFF; other halves fit nowhere.
_HALF_PAIR = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def scalar(text: str, where: str) -> bool | int | float | str | None:
    """The value of a word without quotes.

    Raises:
        RecipeError: a number of more than MAX_DIGITS digits, or as for `checked`.
    """
    kind = next((kind for kind, pattern in PATTERNS.items() if pattern.match(text)), "str")
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            if len(text) > MAX_DIGITS:
                raise RecipeError(
                    f"a number of {len(text)} digits", code="recipe.invalid", where=where
                )
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        case "float":
            # YAML writes .inf and .nan, Python inf and nan
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return checked(text, where)


def checked(text: str, where: str) -> str:
    """The text itself.

    Raises:
        RecipeError: it holds a NUL or half a surrogate pair, which no file name or file can hold.
    """
    if _HALF_PAIR.search(text) or "\0" in text:
        raise RecipeError(
            "text holds a character that cannot be written", code="recipe.syntax", where=where
        )
    return text
