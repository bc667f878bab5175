"""Small recipes, data sets and recorded runs for the tests."""

import io
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from msgspec.structs import asdict, replace
from torch import nn

from resnet_paper.runs.files import write
from resnet_paper.runs.recipe import SETTINGS, TINY, Recipe
from resnet_paper.runs.record import COLUMNS, Measurement, as_json
from resnet_paper.runs.run import Result, Run
from resnet_paper.training import data
from resnet_paper.training.backend import can_compile
from resnet_paper.training.images import Dataset, Images

# Tests train tiny networks, on which threads cost more than they save.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start

# In the background of a shell SIGINT is ignored, by the processes that tests start too.
signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = Path(os.environ.get("DATA_DIR", "data")).absolute()
ENVIRONMENT = {
    "device": "cpu",
    "precision": "float32",
    "compiled": False,
    "threads": 1,
    "device_name": "a CPU",
    "torch": "2.14.1",
    "numpy": "2.4.6",
    "pillow": "12.0.0",
    "concurrent": 1,
}

needs_cifar10 = pytest.mark.skipif(
    not (REAL_DATA / "cifar-10-batches-py" / "test_batch").exists(),
    reason=f"CIFAR-10 is not in {REAL_DATA}: set DATA_DIR to where it is",
)

# One of the paper, a shorter one, one that compares networks, and one of larger images; the others
# are drawn by the slow tests.
DRAWN = ("paper", "overnight", "10-epochs", "imagenette")
of_any_settings = pytest.mark.parametrize(
    "settings",
    [pytest.param(each, marks=() if each in DRAWN else pytest.mark.slow) for each in SETTINGS],
)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Tests draw the same numbers each time."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def compiler() -> None:
    """Skips a test where torch.compile does not work."""
    if not can_compile():
        pytest.skip("torch.compile does not work here")


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A second's worth of training on synthetic images, evaluated 8 at a time.

    Each batch of an evaluation is padded to its size: to 250 would be most of a test's time.
    """
    monkeypatch.setattr(Images, "evaluation_batch", 8)
    return replace(
        TINY,
        dataset="synthetic",
        train_images=25,
        test_images=12,
        batch_size=4,
        iterations=12,
        milestones=(6, 9),
        learning_rate=0.1,
        measure_every=4,
        measure_every_in_warmup=2,
        unaugmented_images=10,
        statistics_batches=3,
    )


@pytest.fixture
def dataset(recipe: Recipe) -> Dataset:
    return data.load(recipe, Path("nowhere"))


@pytest.fixture
def small(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings called "small"."""
    monkeypatch.setitem(SETTINGS, "small", recipe)


@pytest.fixture
def record_run(tmp_path: Path) -> Callable[..., Result]:
    """A function that records a made-up finished run and reads it back."""

    def record(
        network: str,
        seed: int = 0,
        error: float = 8.0,
        settings: str = "paper",
        weights: nn.Module | None = None,
        responses: Sequence[float] | None = None,
        curve: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
        **more: Any,
    ) -> Result:
        run = Run(tmp_path, settings, network, seed)
        recipe = SETTINGS[settings]
        steps = [*range(recipe.measure_every, recipe.iterations, recipe.measure_every)]
        # each column has a number of its own, so that swapped ones do not look alike
        offsets = {name: error + 1 + place / 100 for place, name in enumerate(COLUMNS)}
        row = Measurement(**{**offsets, "iteration": 0})
        rows = [replace(row, iteration=step) for step in steps]
        rows.append(replace(row, iteration=recipe.iterations, test_error=error))
        changed = curve(pd.DataFrame([asdict(row) for row in rows])).to_dict("records")
        digests = {"curve.csv": run.write_curve([Measurement(**row) for row in changed])}
        if weights is not None:
            buffer = io.BytesIO()
            torch.save(weights.state_dict(), buffer)
            digests["weights.pt"] = write(run.weights_file, buffer.getvalue())
        run.write_record(
            {
                "network": network,
                "parameters": 0,
                "seed": seed,
                "settings": settings,
                "recipe": as_json(recipe),
                "computed": ENVIRONMENT,
                "revision": "0123456789ab",
                "started": "2026-01-01T00:00:00+00:00",
                "resumed": [],
                "test_error": error,
                "sha256": digests,
                "finished": True,
                **more,
            }
        )
        result = run.result()
        if responses is None:
            return result
        layers = range(1, len(responses) + 1)
        table = pd.DataFrame({"layer": layers, "name": "bn", "std": list(responses)})
        return result.write_responses(table)

    return record
