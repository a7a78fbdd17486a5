"""`metacli doctor`: is this machine ready?"""

from __future__ import annotations

from collections.abc import Iterator

from metacli.cli import text
from metacli.cli.frame import Frame, Result, mapping
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
    yield from text.fields((k, text.visible(v)) for k, v in mapping(result.get("versions")).items())
    yield from _devices(result)
    yield from _extras(result)
    cache = mapping(result.get("cache"))
    if cache:
        used = text.size(cache.get("bytes", cache.get("size")))
        yield f"cache  {text.visible(cache.get('path'))}  ({used})"
    yield from problems(result)
    yield "next: metacli meta-train glyphs-5w1s-protonet" if not problems(result) else "not ready"


def _devices(result: Result) -> Iterator[str]:
    for device in result.get("devices") or []:
        name = text.visible(device.get("name"))
        if device.get("ok"):
            yield f"device  {name}: works ({text.number(device.get('seconds'), 2)} s)"
        else:
            yield f"device  {name}: {text.visible(device.get('error'))}"


def _extras(result: Result) -> Iterator[str]:
    for name, state in mapping(result.get("extras")).items():
        yield f"extra  {text.visible(name)}: {'; '.join(_words(state))}"


def _words(state: object) -> list[str]:
    if isinstance(state, dict) and state.get("present"):
        return [f"present, {text.visible(state.get('version'))}"]
    if isinstance(state, dict) and state.get("install"):
        return [f"missing, {text.visible(state['install'])}"]
    if isinstance(state, dict):
        return [f"{text.visible(k)} {text.visible(v)}" for k, v in state.items() if v is not None]
    return [
        {True: "present", False: "missing"}.get(state is True, "")
        if isinstance(state, bool)
        else text.visible(state)
    ]


def problems(result: Result) -> list[str]:
    """Each problem as one line; engines tell them as text or as findings."""
    lines = []
    for problem in result.get("problems") or []:
        if isinstance(problem, dict):
            hint = f" ({text.visible(problem['hint'])})" if problem.get("hint") else ""
            lines.append(f"problem  {text.visible(problem.get('message'))}{hint}")
        else:
            lines.append(f"problem  {text.visible(problem)}")
    return lines
