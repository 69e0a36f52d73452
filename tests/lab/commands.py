# SPDX-License-Identifier: Apache-2.0
"""Runs citycard in a process of its own: a city owns its process's office."""

from __future__ import annotations

import os
import subprocess
import sys

COMMAND = "from citycard.cli import main; main()"


def citycard(
    *words: str, script: str = COMMAND, timeout: float = 280, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it, or another script in its place."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CITYCARD_", "DJANGO_"))}
    command = [sys.executable, "-c", script, *words]
    return subprocess.run(command, capture_output=True, text=True, env=kept | environment, timeout=timeout)
