"""The time that a training takes."""

import os
import signal
import time

import pytest

from resnet_paper.training.clock import Clock


def test_a_pause_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    clock = Clock()
    with clock.without_pauses():
        began = clock.now()
        seconds += 2
        assert clock.now() - began == 2
        seconds += 3_600  # paused
        os.kill(os.getpid(), signal.SIGCONT)
        seconds += 3
        assert clock.now() - began == 5
