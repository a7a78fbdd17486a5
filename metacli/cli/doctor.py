"""`metacli doctor`: is this machine ready?"""

from __future__ import annotations

from collections.abc import Iterator

from metacli.cli import text
from metacli.cli.frame import Frame, Result
from metacli.cli.views.block import Block
from metacli.engine.events import Reporter


def doctor(frame: Frame) -> None:
    """Show versions, devices, extras and the cache, and whether all of it works.

    \b
      metacli doctor
      metacli doctor --device cuda --json
    """

    def work(report: Reporter) -> Result:
        from metacli.engine.doctor import doctor as verb

        return verb(device=frame.device, report=report)

    frame.answer_into_file(work, show, lambda result: "problems" if problems(result) else "ok")


def show(result: Result) -> Iterator[str]:
    """Lines for a person."""
    read, wrong = Block(result), problems(result)
    versions = read.block("versions").values
    yield from text.fields((name, text.visible(one)) for name, one in versions.items())
    yield from map(_device, read.blocks("devices"))
    for name, state in read.named("extras"):
        yield f"extra  {text.visible(name)}: {_extra(state)}"
    if read.has("cache"):
        cache = read.block("cache")
        used = text.size(cache.number("bytes") or cache.number("size"))
        yield f"cache  {text.visible(cache.text('path'))}  ({used})"
    yield from wrong
    yield "next: metacli meta-train glyphs-5w1s-protonet" if not wrong else "not ready"


def _device(device: Block) -> str:
    name = text.visible(device.text("name"))
    if device.flag("ok"):
        free, seconds = device.number("free_bytes"), text.number(device.number("seconds"), 2)
        room = "" if free is None else f", {text.size(free)} of memory free"
        return f"device  {name}: works ({seconds} s{room})"
    return f"device  {name}: {text.visible(device.text('error'))}"


def _extra(state: Block) -> str:
    if state.flag("present"):
        return f"present, {text.visible(state.text('version'))}"
    return f"missing, {text.visible(state.text('install'))}"


def problems(result: Result) -> list[str]:
    """Each problem as one line."""
    lines = []
    for problem in Block(result).blocks("problems"):
        hint = f" ({text.visible(problem.text('hint'))})" if problem.flag("hint") else ""
        lines.append(f"problem  {text.visible(problem.text('message'))}{hint}")
    return lines
