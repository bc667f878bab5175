"""Where a result comes from: the revision of the code, the processor, the process."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
OF_A_HOOK = (
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
)


def revision() -> str:
    """The code's revision: RESNET_PAPER_REVISION if set, else git's, else the package's version.

    Git's is that of a repository with the package at its root, and tracked; "-dirty" is appended
    where a file of the package is not as committed; figures, runs and docs decide no result.
    "unknown" where the package is neither in such a repository nor installed.
    """
    if named := os.environ.get("RESNET_PAPER_REVISION"):
        return named
    try:
        if Path(git("rev-parse", "--show-toplevel")) != PACKAGE.resolve().parent:
            return version()  # of another repository, in which the package is installed or copied
        git("ls-files", "--error-unmatch", "--", "__init__.py")
        commit = git("describe", "--always", "--abbrev=12", "--exclude=*")
        changed = git("status", "--porcelain", "--untracked-files=normal", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return version()
    return f"{commit}-dirty" if changed else commit


def git(*arguments: str) -> str:
    """The output of a git command in the package's folder.

    A hook of git sets variables that name its own repository; here they would name another one.
    """
    kept = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    answer = subprocess.run(
        ["git", *arguments], cwd=PACKAGE, env=kept, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def version() -> str:
    """The version of the installed distribution that this package is of, else "unknown"."""
    for distribution in metadata.distributions(name="resnet_paper"):
        if Path(str(distribution.locate_file("resnet_paper"))).resolve() == PACKAGE.resolve():
            return distribution.version
    return "unknown"


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
