"""Runs that revision 81b2a3d trained are read, published and resumed.

tests/fixtures/README.md says how they were made.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from resnet_paper.networks.build import build
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.runs.run import Result, Run, finished_runs
from resnet_paper.study.publish import publish
from resnet_paper.training import data
from resnet_paper.training.images import Normalisation
from tests.training.trained import complete, weights_of

REVISION = Path(__file__).parents[1] / "fixtures" / "81b2a3d"
RECIPE = SETTINGS["demo"]
LAST_BITS = 1e-3  # another processor may round otherwise; an image is 0.4% of the test images
FEW_IMAGES = 1.0  # %


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A root of runs that may be changed."""
    return Path(shutil.copytree(REVISION, tmp_path / "runs"))


@pytest.fixture
def finished(runs: Path) -> Result:
    return Run(runs, "demo", "resnet-8", 0).result()


def test_a_finished_run_is_read(finished: Result) -> None:
    assert finished_runs(finished.run.root, "demo")[0].content == finished.content
    assert finished.run.is_finished_with(RECIPE)
    record = finished.record
    assert record.recipe == RECIPE
    assert (record.test_error, record.revision) == (17.2, "81b2a3d78b64")
    assert (record.environment.threads, record.environment.concurrent) == (1, None)
    assert [sitting.iteration for sitting in record.resumed] == [34]
    assert finished.curve["iteration"].tolist() == [16, 32, 48, 64, 80, 96]
    assert finished.curve["test_error"].iloc[-1] == record.test_error
    build("resnet-8").load_state_dict(weights_of(finished))


def test_a_rewrite_keeps_all_that_a_record_says(finished: Result) -> None:
    finished.run.write_record({**finished.content, "of_another_version": [1, {"two": None}]})
    before = finished.run.result()
    table = pd.DataFrame({"layer": [1], "name": ["a"], "std": [0.5]})
    after = before.write_responses(table)
    assert list(after.content) == list(before.content)
    assert {**after.content, "sha256": None} == {**before.content, "sha256": None}
    digests = {"responses.csv", *before.content["sha256"]}
    assert after.content["sha256"].keys() == digests
    pd.testing.assert_frame_equal(after.responses, table)
    assert after.weights() == finished.weights()


def test_a_finished_run_is_published(finished: Result, tmp_path: Path) -> None:
    dataset = data.load(RECIPE, Path("nowhere"))
    normalise = Normalisation.of(dataset.train, RECIPE.normalisation)
    published = publish(finished, tmp_path / "published", dataset.test, normalise)
    assert published.run == replace(finished.run, root=tmp_path / "published")
    pd.testing.assert_frame_equal(published.curve, finished.curve)
    content = dict(published.content)
    said = content.pop("published")
    assert {**content, "sha256": None} == {**finished.content, "sha256": None}
    assert said["test_error"] == pytest.approx(finished.record.test_error, abs=FEW_IMAGES)
    build("resnet-8").load_state_dict(weights_of(published))


@pytest.mark.slow
def test_an_unfinished_run_ends_as_the_revision_that_began_it_would(runs: Path) -> None:
    run = Run(runs, "demo", "plain-8", 0)
    assert not run.finished
    result = complete(run, RECIPE, data.load(RECIPE, Path("nowhere"))).result()
    assert [sitting.iteration for sitting in result.record.resumed] == [50]

    expected = pd.read_csv(REVISION / "uninterrupted" / "curve.csv")
    curve = result.curve
    assert list(curve) == list(expected)
    assert curve[["iteration", "learning_rate"]].equals(expected[["iteration", "learning_rate"]])
    assert curve["val_error"].isna().all()
    errors = [name for name in expected if "_error" in name and name != "val_error"]
    for names, tolerance in ((["train_loss", "test_loss"], 0.01), (errors, FEW_IMAGES)):
        pd.testing.assert_frame_equal(curve[names], expected[names], rtol=0, atol=tolerance)

    norms = pd.read_csv(REVISION / "uninterrupted" / "norms.csv", index_col="name")["norm"]
    weights = weights_of(result)
    assert list(weights) == norms.index.tolist()
    found = [torch.linalg.vector_norm(value.double()).item() for value in weights.values()]
    assert found == pytest.approx(norms.tolist(), rel=LAST_BITS, abs=LAST_BITS)
