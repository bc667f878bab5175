"""What users type: one clear line and a non-zero exit for a mistake, files for the rest."""

from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

from experiments import bench, fig6, fig7, table6, train
from resnet_paper import responses
from tests.conftest import REAL_DATA, needs_cifar10

DEMO = ["--settings", "demo"]


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(command: click.Command, *arguments: str) -> Result:
    """The command's result, which is no traceback."""
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(
    ("command", "arguments", "status", "says"),
    [
        (train.main, ["--network", "resnet-21", *DEMO], 1, "resnet-20 or resnet-26"),
        (fig6.main, ["--depths", "20 21", *DEMO], 1, "resnet-20 or resnet-26"),
        (fig6.main, ["--depths", "twenty"], 2, "not a list of depths"),
        (table6.main, ["--settings", "papre"], 2, "'papre'"),
        (table6.main, ["--seeds", "0"], 2, "--seeds"),
        (train.main, ["--network", "resnet-8", "--seed", "-1"], 2, "--seed"),
        (bench.main, ["--networks", "resnet-21"], 1, "resnet-20 or resnet-26"),
        (responses.main, ["--network", "resnet-20"], 2, "go together"),
        (responses.main, ["--network", "resnet-20", "--weights", "none"], 2, "does not exist"),
    ],
)
def test_mistakes_get_one_line(
    command: click.Command, arguments: list[str], status: int, says: str
) -> None:
    result = run(command, *arguments)
    assert result.exit_code == status, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert says in errors[0]
    assert not list(Path().iterdir()), "nothing is written"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_gpu_is_one_line() -> None:
    result = run(train.main, "--network", "resnet-8", *DEMO, "--device", "cuda")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no CUDA device is available here")


def test_a_directory_that_cannot_be_written_is_one_line() -> None:
    Path("runs/demo").mkdir(parents=True)
    Path("runs/demo/resnet-8").symlink_to("/proc/no-such-place")
    result = run(train.main, "--network", "resnet-8", *DEMO, "--runs", "runs")
    assert result.exit_code == 1
    assert "Error: cannot write runs/demo/resnet-8/seed-0" in result.stderr


def test_the_study_end_to_end_on_synthetic_images() -> None:
    nets = [*DEMO, "--precision", "float32", "--depths", "8", "--plain-depths", "8"]
    result = run(fig6.main, *nets)
    assert result.exit_code == 0, result.output
    assert "together: about" in result.output
    assert Path("figures/demo/figure6.pdf").read_bytes().startswith(b"%PDF")
    assert Path("figures/demo/figure6.png").read_bytes().startswith(b"\x89PNG")
    assert "To train" not in run(fig6.main, *nets).output, "what is recorded is not trained again"

    weights = "experiments/runs/demo/resnet-8/seed-0/weights.pt"
    arguments = [*DEMO, "--weights", weights, "--network"]
    assert "mean over 7 layers" in run(responses.main, *arguments, "resnet-8").output
    result = run(responses.main, *arguments, "resnet-20")
    assert (
        result.stderr == f"Error: {weights} holds the weights of a resnet-8, not of a resnet-20\n"
    )

    assert "Synthetic images" in run(table6.main, *DEMO, "--draw-only").output
    assert "Synthetic images" in Path("figures/demo/table6.md").read_text()


def test_nothing_recorded_is_said() -> None:
    assert "nothing is recorded yet" in run(fig7.main, "--draw-only").output
    said = run(responses.main, "--settings", "tiny").output
    assert "plain-56 is not recorded: make train SETTINGS=tiny RUNS=" in said


@needs_cifar10
def test_one_tiny_run_on_cifar10() -> None:
    arguments = ["--network", "resnet-8", "--settings", "tiny", "--data-dir", str(REAL_DATA)]
    result = run(train.main, *arguments)
    assert result.exit_code == 0, result.output
    assert "resnet-8 seed 0: test error" in result.output
