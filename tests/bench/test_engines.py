"""What `make bench ENGINE=ray` counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from resnet_paper.bench import engines
from resnet_paper.training import checkpoint
from resnet_paper.training.engine import Cost, Local
from resnet_paper.training.loop import Progress
from tests.training.trained import CPU


@dataclass
class Paced:
    """An engine whose runs are measured every 20 iterations; each takes a quarter of a second."""

    backend: Any = CPU

    def take(self, dataset: Any) -> None:
        self.images = len(dataset.train)

    def costs(self, networks: Any) -> Iterator[Cost]:
        yield Cost(0.25, 10**9)

    def runs_at_once(self, runs: int, memory: int, concurrent: int) -> tuple[int, int]:
        return 2, 2

    def train(self, run: Any, at_once: int) -> Any:
        if run.seed == 1:  # begins later
            yield from [Progress(0, 0.0, 0.0)] * 50
        for iteration in range(20, 10_000, 20):
            yield Progress(iteration, 0.0, 0.0)
            row: Any = SimpleNamespace(iteration=iteration, seconds=7 + iteration / 4)
            yield Progress(iteration, 0.0, 0.0, row)


def test_the_throughput_of_an_engine_is_that_of_all_its_runs(tmp_path: Path) -> None:
    engine: Any = Paced()
    found = engines.throughput(engine, "resnet-20", tmp_path)
    assert engine.images == engines.RECIPE.train_images
    assert found.at_once == 2
    assert found.images_per_second == pytest.approx(2 * 4 * 128)


def test_a_checkpoint_to_send_is_one_that_can_be_resumed(tmp_path: Path) -> None:
    content = engines.checkpoint_bytes("resnet-8", Local(engines.RECIPE, CPU), tmp_path)
    assert checkpoint.intact(content)
