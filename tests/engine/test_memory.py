"""What the C library does with freed memory, seen by page faults in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from metacli.engine.training.memory import keep_freed_memory
assert {change} is False or keep_freed_memory()
def step():
    blocks = [bytearray(8_000_000) for _ in range(4)]
step(); step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(change: bool) -> int:
    code = FAULTS.format(change=change)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_a_step_finds_the_memory_of_the_step_before() -> None:
    assert faults(True) < 200 < faults(False)
