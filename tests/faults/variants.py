"""Hostile variants of files: random edits of bytes, of text, and of the structure of JSON."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

EDGES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\x00", b"\n", b'"')
WORDS = (
    *(b"", b"\x00", b"\xef\xbb\xbf", b"\x1b[31m", b"nan", b"inf", b"-1", b"1e999", b"0x1f", b"no"),
    *(b",", b";", b"\t", b"|", b'"', b"'", b"\r", b"\r\n", b"\n\n", b"[", b"{", b"&a *a", b"!!x"),
    *(b"../..", b"/etc/passwd", b"=1+1", b"9" * 400, b"[" * 60, b"{" * 60, "ü\u202e".encode()),
)
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 7, 60_000, 2**31, 2**53, 2**63, -(2**63), 10**30, 10**400),
    *(-1.0, 0.0, 0.5, 1e-320, 1e30, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
    *("", " ", "x", "0", "-1", "\x00", "\x1b[31m", "\ud800", "../../x", "/etc/passwd", "a" * 300),
    *([], {}, [[]], [None], {"a": {}}, [1, 2], ["x", "x"], [0] * 500, [["a"], ["b"]]),
)
Edit = Callable[[bytearray, random.Random], None]


def mutated_bytes(content: bytes, draw: random.Random) -> bytes:
    """One to four edits: flipped bits, edge values, cuts, copies, ends cut off."""
    data = bytearray(content or b"\x00")
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) if draw.random() < 0.5 else min(64, len(data)))
        edit = draw.randrange(5)
        if edit == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif edit == 1:
            value = draw.choice(EDGES)
            data[at : at + len(value)] = value
        elif edit == 2:
            del data[at : at + draw.randint(1, 12)]
        elif edit == 3:
            data[at:at] = data[at // 2 : at // 2 + draw.randint(1, 12)]
        elif draw.random() < 0.3:
            del data[at:]
        data = data or bytearray(b"\x00")
    return bytes(data)


def mutated_text(content: bytes, draw: random.Random) -> bytes:
    """One to three edits of words and lines; every fourth variant has bytes edited as well."""
    data = content
    for _ in range(draw.randint(1, 3)):
        lines = data.split(b"\n")
        at, edit = draw.randrange(len(lines)), draw.randrange(5)
        if edit == 0:
            lines[at] = put(lines[at], draw)
        elif edit == 1:
            del lines[at]
        elif edit == 2:
            lines.insert(draw.randrange(len(lines)), lines[at])
        elif edit == 3:
            other = draw.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            words = lines[at].split(b",")
            words[draw.randrange(len(words))] = draw.choice(WORDS)
            lines[at] = b",".join(words)
        data = b"\n".join(lines) if lines else b""
    return mutated_bytes(data, draw) if draw.random() < 0.25 else data


def put(line: bytes, draw: random.Random) -> bytes:
    """A hostile word somewhere in the line."""
    at = draw.randint(0, len(line))
    return line[:at] + draw.choice(WORDS) + line[at + draw.randint(0, 6) :]


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value, in their order."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        found.append((value, key))
        if isinstance(item, dict | list):
            places(item, found)
    return found


def mutated_json(value: Any, draw: random.Random) -> Any:
    """A copy with one to three nodes replaced, removed, renamed, repeated, or taken from
    elsewhere in it."""
    whole = [copy.deepcopy(value)]
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        spots = places(whole, [])
        holder, key = spots[draw.randrange(len(spots))]
        edit = draw.randrange(8)
        if edit < 3:
            holder[key] = copy.deepcopy(draw.choice(HOSTILE))
        elif edit == 3 and holder is not whole:
            del holder[key]
        elif edit == 4:
            other, name = spots[draw.randrange(len(spots))]
            holder[key] = copy.deepcopy(other[name])
        elif edit == 5 and isinstance(holder, dict):
            holder[draw.choice(("", "x", "name", "\x1b[0m", str(key) * 2))] = holder.pop(key)
        elif edit == 6 and isinstance(holder, list) and holder is not whole:
            holder.insert(draw.randint(0, len(holder)), copy.deepcopy(holder[key]))
        else:
            holder[key] = tweaked(holder[key], draw)
    return whole[0]


def tweaked(value: Any, draw: random.Random) -> Any:
    """A value of the same type, a little or much different."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + draw.choice((-1, 1, 10, -1000, 10**6))
    if isinstance(value, float):
        return value * draw.choice((-1.0, 0.0, 2.0, 1e6, 1e300))
    if isinstance(value, str):
        return mutated_bytes(value.encode("utf-8", "replace"), draw).decode(
            "utf-8", "surrogateescape"
        )
    return [value] if draw.random() < 0.5 else []


def json_bytes_of(value: Any) -> bytes:
    """As Python writes it, NaN and lone surrogates included."""
    return json.dumps(value).encode()


def mutated_tensors(content: bytes, draw: random.Random) -> bytes:
    """Safetensors with its header edited as JSON, or with numbers that are not finite, or with
    bytes edited."""
    size = struct.unpack("<Q", content[:8])[0]
    header, body = content[8 : 8 + size], bytearray(content[8 + size :])
    edit = draw.randrange(3)
    if edit == 0:
        made = json_bytes_of(mutated_json(json.loads(header), draw))
        return struct.pack("<Q", len(made)) + made + bytes(body)
    if edit == 1 and len(body) >= 4:
        at = 4 * draw.randrange(len(body) // 4)
        value = draw.choice((float("nan"), float("inf"), 3e38, -3e38, 1e-40))
        body[at : at + 4] = struct.pack("<f", value)
        return content[: 8 + size] + bytes(body)
    return mutated_bytes(content, draw)


def chosen(values: Sequence[Any], draw: random.Random) -> Any:
    return values[draw.randrange(len(values))]
