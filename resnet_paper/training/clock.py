"""The time that a training takes, without pauses of its process (Ctrl-Z, SIGSTOP)."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds since an arbitrary moment, without pauses.

    A process learns only that it was continued (SIGCONT). The pause is taken to have begun when the
    clock was last looked at, between two iterations: an iteration that it fell into is not counted.
    """

    def __init__(self) -> None:
        self.looked, self.paused = time.monotonic(), 0.0

    def now(self) -> float:
        self.looked = time.monotonic()
        return self.looked - self.paused

    def leave_out_pause(self, *_: object) -> None:
        """Do not count the time since the last look."""
        before, self.looked = self.looked, time.monotonic()
        self.paused += self.looked - before

    @contextmanager
    def without_pauses(self) -> Iterator[None]:
        """Context manager, of the main thread: pauses of the process are not counted."""
        before = signal.signal(signal.SIGCONT, self.leave_out_pause)
        try:
            yield
        finally:
            signal.signal(signal.SIGCONT, before)


clock = Clock()  # of this process
