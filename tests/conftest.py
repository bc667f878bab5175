"""Small recipes, data sets and recorded runs for the tests."""

import io
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resnet_paper.runs.recipe import SETTINGS, TINY, Recipe
from resnet_paper.runs.run import COLUMNS, Run, write

REAL_DATA = Path(os.environ.get("DATA_DIR", "data")).absolute()

needs_cifar10 = pytest.mark.skipif(
    not (REAL_DATA / "cifar-10-batches-py" / "test_batch").exists(),
    reason=f"CIFAR-10 is not in {REAL_DATA}: set DATA_DIR to where it is",
)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Tests draw the same numbers each time."""
    torch.manual_seed(0)


@pytest.fixture
def recipe() -> Recipe:
    """A few seconds' worth of training on synthetic images."""
    return replace(
        TINY,
        dataset="synthetic",
        train_images=100,
        test_images=50,
        batch_size=16,
        iterations=12,
        milestones=(6, 9),
        learning_rate=0.1,
        measure_every=4,
        measure_every_in_warmup=2,
        clean_images=40,
        statistics_batches=3,
    )


@pytest.fixture
def record_run(tmp_path: Path) -> Callable[..., Run]:
    """A function that records a made-up finished run."""

    def record(
        network: str,
        seed: int = 0,
        error: float = 8.0,
        settings: str = "paper",
        weights: nn.Module | None = None,
        **more: Any,
    ) -> Run:
        run = Run(tmp_path, settings, network, seed)
        recipe = SETTINGS[settings]
        steps = [*range(recipe.measure_every, recipe.iterations, recipe.measure_every)]
        steps.append(recipe.iterations)
        rows = [dict.fromkeys(COLUMNS, error + 1) | {"iteration": step} for step in steps]
        rows[-1] |= {"test_error": error}
        digests = {"curve.csv": run.write_curve(rows)}
        if weights is not None:
            buffer = io.BytesIO()
            torch.save(weights.state_dict(), buffer)
            digests["weights.pt"] = write(run.weights_file, buffer.getvalue())
        run.write_record(
            {
                "network": network,
                "seed": seed,
                "recipe": asdict(recipe),
                "computed": {},
                "test_error": error,
                "sha256": digests,
                "finished": True,
                **more,
            }
        )
        return run

    return record
