"""Kill a training again and again, then compare its result with that of one left alone.

`python -m tests.kills --kills 50` prints what was lost: nothing, or it exits with 1.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import pandas as pd
import torch

from resnet_paper.errors import UserError
from resnet_paper.runs.run import Run

ROOT = Path(__file__).parents[1]
# Trains a run of a few seconds in which a checkpoint is written every 2 iterations.
TRAINING = """
import sys
from msgspec.structs import replace
from pathlib import Path
from resnet_paper.training import backend
from resnet_paper.training import data
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.runs.run import Run
from resnet_paper.training.loop import train
recipe = replace(SETTINGS["demo"], train_images=200, batch_size=8, iterations=60,
                 milestones=(30, 45), measure_every=2, test_images=20, unaugmented_images=20)
run = Run(Path(sys.argv[1]), "demo", "resnet-8", 0)
dataset, chosen = data.load(recipe, Path("none")), backend.choose("cpu", "float32")
print("ready", flush=True)
for _ in train(run, recipe, dataset, chosen):
    pass
"""


def start(root: Path) -> subprocess.Popen[str]:
    """A process that trains the run; it has loaded its data."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(root)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # more cost a tiny network time
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def result(run: Run) -> tuple[pd.DataFrame, list[torch.Tensor]]:
    weights = torch.load(run.weights_file, weights_only=True)
    return run.result().curve.drop(columns="seconds"), list(weights.values())


def kill_and_compare(kills: int, seed: int, root: Path) -> int:
    """Kill at random moments, starting again when a run has finished; how many runs were compared.

    Raises AssertionError if a run came out differently, was not resumed, or looked finished and was
    not.
    """
    rng = random.Random(seed)
    whole = Run(root / "whole", "demo", "resnet-8", 0)
    began = time.monotonic()
    assert start(whole.root).wait() == 0
    seconds = time.monotonic() - began
    curve, weights = result(whole)
    compared = killed = 0
    while killed < kills or compared == 0:
        run = Run(root / f"killed-{compared}", "demo", "resnet-8", 0)
        process, sent = start(run.root), False
        if killed < kills:
            try:
                process.wait(rng.uniform(0, seconds / 2))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                killed, sent = killed + 1, True
        code = process.wait()
        ended = run.finished if code == 0 else sent and code == -signal.SIGKILL
        assert ended, f"{run.directory} is not resumed: exit status {code}"
        if run.finished:
            found, found_weights = result(run)
            pd.testing.assert_frame_equal(found, curve, check_exact=True)
            assert all(map(torch.equal, found_weights, weights))
            compared += 1
    return compared


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Kill a small training at random moments; its result must be that of one left alone."""
    with tempfile.TemporaryDirectory() as root:
        try:
            compared = kill_and_compare(kills, seed, Path(root))
        except (AssertionError, UserError) as error:
            raise click.ClickException(f"something was lost: {error}") from error
    click.echo(f"{kills} kills with SIGKILL, {compared} runs brought to their end: nothing lost")


if __name__ == "__main__":
    main()
