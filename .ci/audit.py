"""Whether a package that is installed here has a known vulnerability, by pip-audit:

    python .ci/audit.py [MORE OPTIONS OF PIP-AUDIT]

Ends with 0 only if every package was looked up and none is known to be vulnerable. What could not
be checked (no network, a service that fails, a package that it does not know) is a failure, not
a pass.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

OURS = "metacli"


def installed() -> list[str]:
    """`name==version` of what is installed beside this project. A local part of a version, such as
    `+cu130`, names a build of the same code, which advisories do not know."""
    words = [sys.executable, "-m", "pip", "list", "--format=freeze", "--exclude", OURS]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [line.partition("+")[0] for line in listed.splitlines() if "==" in line]


def audit(packages: list[str], options: list[str]) -> int:
    """The exit code: 0 checked and nothing known; 1 something known; 2 not checked."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "installed.txt"
        file.write_text("\n".join(packages) + "\n")
        words = [sys.executable, "-m", "pip_audit", "--strict", "--progress-spinner", "off"]
        words += ["--disable-pip", "--no-deps", "--requirement", str(file), *options]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    if done.returncode == 0:
        sys.stderr.write(f"audit: {len(packages)} packages checked, nothing known\n")
        return 0
    known = "known vulnerabilit" in done.stdout + done.stderr
    why = "known vulnerabilities" if known else "COULD NOT CHECK, which is no pass"
    sys.stderr.write(f"audit: {why}\n")
    return 1 if known else 2


if __name__ == "__main__":
    sys.exit(audit(installed(), sys.argv[1:]))
