"""Where the generated parts of the documentation are written."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "results"
FEW_SHOT, TEXTS = PAGES / "few-shot.md", PAGES / "texts.md"
MULTI_TASK, TRANSFER, SPEED = PAGES / "multi-task.md", PAGES / "transfer.md", PAGES / "speed.md"
LINK = "../../benchmarks/results"  # from a page of results to its files


def replace(page: Path, begin: str, end: str, made: str) -> None:
    """Put `made` between the two marks of a page, which stay."""
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} lacks {begin} or {end}")
    page.write_text(f"{before}{begin}\n{made}\n{end}{after}", encoding="utf-8")
