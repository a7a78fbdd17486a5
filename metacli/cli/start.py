"""The program `metacli`: what has to happen before anything slow is imported."""

from __future__ import annotations

import gc
import os
import sys

from metacli.cli.streams import show_loading

SELDOM = 20_000  # new objects between two looks for garbage


def run() -> None:
    """The entry point. On a terminal `loading` appears at once: the libraries behind a command
    take a second to import, more on a cold disk."""
    # Read when torch is imported. Its threads wait asleep: awake, they took five times the
    # processor's time beside other work, and were no faster alone.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Imports make many objects that stay: looking for garbage among them again and again was 0.15 s
    # of the 4.6 s of a short command.
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])
    works = [word for word in sys.argv[1:] if not word.startswith("-")]
    asks_for_help = {"-h", "--help", "--version"} & set(sys.argv[1:])
    leads = os.environ.get("RANK", "0") == "0"  # torchrun's
    if works and leads and not asks_for_help and "_METACLI_COMPLETE" not in os.environ:
        show_loading()
    from metacli.cli import app

    app.run()
