"""Where a result comes from: the revision of the code, the processor, the process."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def revision() -> str:
    """The code's revision: RESNET_PAPER_REVISION if set, else git's, else "unknown".

    "-dirty" is appended where a file of the package is not as committed; figures, runs and docs
    decide no result.
    """
    if named := os.environ.get("RESNET_PAPER_REVISION"):
        return named
    try:
        commit = git("describe", "--always", "--abbrev=12", "--exclude=*")
        changed = git("status", "--porcelain", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def git(*arguments: str) -> str:
    """The output of a git command in the package's repository."""
    answer = subprocess.run(
        ["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def this_process() -> str:
    """This process in words: "process 123 on some-host"."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def processor() -> str:
    """The processor's name, as far as the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
