"""Makes docs/images/terminal.svg, the picture of the README, from commands that are really run:

    python benchmarks/terminal.py FOLDER

FOLDER has class folders of images. Its copy is called my_photos, so that no path is shown.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "terminal.svg"
WIDTH = 100
COMMANDS = (
    "metacli adapt my_photos -o mine",
    "metacli predict mine new_photos",
    "metacli export mine --format onnx",
)


def main() -> None:
    source = Path(sys.argv[1]).resolve()
    screen = Console(record=True, width=WIDTH, force_terminal=True, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(source, Path(folder, "my_photos"))
        set_aside(Path(folder))
        for command in COMMANDS:
            screen.print(Text.assemble(("$ ", "green"), (command, "bold")))
            screen.print(Text(shown(command, Path(folder))))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    picture = screen.export_svg(title="metacli", unique_id="metacli")
    # The fonts that Rich names lie on another server: the reader's own monospace font will do.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    TARGET.write_text(picture, encoding="utf-8")


def set_aside(folder: Path) -> None:
    """One image of each class is new to the model."""
    (folder / "new_photos").mkdir()
    for one in sorted((folder / "my_photos").iterdir())[:4]:
        first = min(one.iterdir())
        first.rename(folder / "new_photos" / f"{one.name}{first.suffix}")


def shown(command: str, folder: Path) -> str:
    """What a command prints, without progress lines, whose times are this machine's."""
    done = subprocess.run(
        command.split(),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": str(WIDTH)},
    )
    kept = done.stdout.splitlines()
    if command.startswith("metacli predict"):
        kept = kept[:4]
    return re.sub(r"0\.(\d{3})\d+", r"0.\1", "\n".join(kept))


if __name__ == "__main__":
    main()
