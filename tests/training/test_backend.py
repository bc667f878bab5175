"""A backend changes the process only when it is activated; compiled nets share their code."""

import pytest
import torch

from resnet_paper.networks.build import build
from resnet_paper.paper import facts
from resnet_paper.runs.recipe import Recipe
from resnet_paper.training import backend
from resnet_paper.training.backend import Backend
from resnet_paper.training.batches import BatchStream
from resnet_paper.training.images import Dataset
from resnet_paper.training.learner import Learner

NETS = [f"plain-{depth}" for depth in facts.PLAIN_DEPTHS.split()]
NETS += [f"resnet-{depth}" for depth in facts.RESNET_DEPTHS.split()]


def test_making_a_backend_changes_no_threads() -> None:
    before = torch.get_num_threads()
    chosen = Backend("cpu", "float32", compiled=False, threads=before + 2)
    assert torch.get_num_threads() == before
    chosen.activate()
    assert torch.get_num_threads() == before + 2
    torch.set_num_threads(before)


@pytest.mark.slow
def test_nine_compiled_nets_share_one_process(recipe: Recipe, dataset: Dataset) -> None:
    """More shapes than dynamo's own limit of recompilations, after which it would run eagerly."""
    chosen = backend.choose("cpu", iterations=backend.WORTH_COMPILING)
    if not chosen.compiled:
        pytest.skip("torch.compile does not work here")
    assert len(NETS) == 9
    plan = BatchStream(len(dataset.train), recipe.batch_size, seed=0).plan(0, 2)
    learners = [Learner(build(network), recipe, dataset.train, chosen) for network in NETS]
    for _ in range(2):
        for learner in learners:
            learner.load(plan, [0.01, 0.01])
            learner.advance(2)
            with learner.buffers_kept():
                for _ in learner.recompute_statistics(plan):
                    pass
                for _ in learner.evaluate(dataset.test):
                    pass
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for learner in learners:
        learner.load(plan, [0.01, 0.01])
        learner.advance(2)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compiled, "nothing recompiles"
