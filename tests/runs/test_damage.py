"""Whatever happens to a run's files: one line, nothing lost, no number it did not measure."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resnet_paper.errors import UserError
from resnet_paper.runs.recipe import SETTINGS, Recipe
from resnet_paper.runs.run import Run
from resnet_paper.study import responses
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer
from resnet_paper.training import data
from resnet_paper.training.images import Dataset
from resnet_paper.training.loop import train
from tests.conftest import REAL_DATA, needs_cifar10
from tests.training.trained import CPU

FINISHED = ("run.json", "curve.csv", "weights.pt", "responses.csv")
UNFINISHED = ("run.json", "curve.csv", "checkpoint.pt")
CASES = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

truncated = st.floats(0, 1, exclude_max=True).map(lambda part: lambda c: c[: int(part * len(c))])
flipped = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)).map(
    lambda where: lambda c: flip(c, int(where[0] * len(c)), where[1])
)
foreign = st.binary(max_size=300).map(lambda content: lambda _: content)
damages = truncated | flipped | foreign


def flip(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


@pytest.fixture
def study(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setitem(SETTINGS, "small", recipe)
    return Study("small", tmp_path / "runs")


def steps(run: Run, recipe: Recipe, dataset: Dataset) -> Iterator[object]:
    return train(run, recipe, dataset, CPU)


@pytest.fixture
def finished(study: Study, recipe: Recipe, dataset: Dataset) -> Run:
    """A ResNet-20 by name (so that it is drawn), with its responses."""
    run = study.run("resnet-20", 0)
    for _ in steps(run, recipe, dataset):
        pass
    table = pd.DataFrame({"layer": [1, 2], "name": ["a", "b"], "std": [0.5, 0.6]})
    run.result().write_responses(table)
    return run


@pytest.fixture
def unfinished(study: Study, recipe: Recipe, dataset: Dataset) -> Run:
    run = study.run("resnet-8", 0)
    training = steps(run, recipe, dataset)
    for progress in training:
        if progress.iteration == 5:
            training.close()
            break
    return run


def attempt(work: Callable[[], object]) -> object:
    """What some work gives, or the one line of its UserError; any other exception fails a test."""
    try:
        return work()
    except UserError as error:
        return error


def backup_of(study: Study) -> Path:
    """A copy of all that a study has recorded."""
    return Path(shutil.copytree(study.root, study.root.with_name("backup")))


def damaged_file(study: Study, backup: Path, path: Path, damage: Callable[[bytes], bytes]) -> bytes:
    """Put a study back as it was, damage one of its files, and return what the file holds now."""
    shutil.copytree(backup, study.root, dirs_exist_ok=True)
    path.write_bytes(damage(path.read_bytes()))
    return path.read_bytes()


def content(name: str, file: bytes) -> object:
    """What a file says: of a run.json its JSON, of others their bytes."""
    try:
        return json.loads(file) if name == "run.json" else file
    except ValueError:
        return file


def test_damage_to_a_finished_run(study: Study, finished: Run) -> None:
    """A file that says something else is refused, one that does not is read as before."""
    tables = {"curve.csv": finished.result().curve, "responses.csv": finished.result().responses}
    weights, record = finished.result().weights(), finished.record()
    backup = backup_of(study)

    @CASES
    @given(st.sampled_from(FINISHED), damages)
    def check(name: str, damage: Callable[[bytes], bytes]) -> None:
        path = finished.directory / name
        intact = (backup / path.relative_to(study.root)).read_bytes()
        damaged = damaged_file(study, backup, path, damage)
        if content(name, damaged) != content(name, intact):
            with pytest.raises(UserError, match=re.escape(str(path))):
                finished.result().weights()
        else:
            result = finished.result()
            assert (result.record, result.weights()) == (record, weights)
            assert result.curve.equals(tables["curve.csv"])
            assert result.responses.equals(tables["responses.csv"])
        attempt(lambda: Trainer("cpu", "float32").complete(study, [finished]))
        attempt(lambda: responses.record_missing(study))
        assert path.read_bytes() == damaged

    check()


def test_damage_to_an_unfinished_run(
    study: Study, unfinished: Run, recipe: Recipe, dataset: Dataset
) -> None:
    backup = backup_of(study)
    checkpoint = unfinished.checkpoint_file.read_bytes()

    @CASES
    @given(st.sampled_from(UNFINISHED), damages)
    def check(name: str, damage: Callable[[bytes], bytes]) -> None:
        path = unfinished.directory / name
        damaged = damaged_file(study, backup, path, damage)
        begun = attempt(lambda: first_step(unfinished, recipe, dataset))
        if name == "checkpoint.pt" and damaged != checkpoint:
            assert isinstance(begun, UserError)
            assert path.read_bytes() == damaged
        elif not isinstance(begun, UserError):
            assert begun == 6, "resumed from the checkpoint"
        results = attempt(study.results)
        assert results == [] or isinstance(results, UserError)

    check()


@needs_cifar10
def test_damage_to_cifar10(tmp_path: Path) -> None:
    intact = REAL_DATA / "cifar-10-batches-py"
    folder = tmp_path / intact.name
    folder.mkdir()

    @settings(CASES, max_examples=12)
    @given(st.sampled_from(sorted(path.name for path in intact.iterdir())), damages)
    def check(name: str, damage: Callable[[bytes], bytes]) -> None:
        for path in intact.iterdir():
            (folder / path.name).unlink(missing_ok=True)
            (folder / path.name).symlink_to(path)
        damaged = damage((intact / name).read_bytes())
        (folder / name).unlink()
        (folder / name).write_bytes(damaged)
        loaded = attempt(lambda: data.load(SETTINGS["tiny"], tmp_path))
        assert isinstance(loaded, UserError)
        assert f"{name} is damaged" in loaded.message
        assert (folder / name).read_bytes() == damaged

    check()


def first_step(run: Run, recipe: Recipe, dataset: Dataset) -> int:
    """The first iteration of another sitting, whose end leaves a checkpoint."""
    with closing(train(run, recipe, dataset, CPU)) as training:
        return next(training).iteration


def test_files_of_another_run_are_refused(
    study: Study, finished: Run, recipe: Recipe, dataset: Dataset
) -> None:
    other = study.run("plain-20", 0)
    for _ in steps(other, recipe, dataset):
        pass
    for name, read in (
        ("run.json", finished.record),
        ("curve.csv", finished.result),
        ("weights.pt", finished.result().weights),
    ):
        before = (finished.directory / name).read_bytes()
        shutil.copy(other.directory / name, finished.directory / name)
        assert isinstance(attempt(read), UserError), name
        (finished.directory / name).write_bytes(before)


def test_a_checkpoint_of_another_run_is_refused(
    study: Study, unfinished: Run, recipe: Recipe, dataset: Dataset
) -> None:
    other = study.run("plain-8", 0)
    other.directory.mkdir(parents=True)
    shutil.copy(unfinished.checkpoint_file, other.checkpoint_file)
    refused = attempt(lambda: first_step(other, recipe, dataset))
    assert isinstance(refused, UserError)
    assert "network resnet-8, not plain-8" in refused.message
