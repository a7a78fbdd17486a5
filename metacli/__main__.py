"""`python -m metacli`."""

from __future__ import annotations

from metacli.cli.start import run

run()
