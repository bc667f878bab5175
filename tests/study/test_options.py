"""Options as people type them: any case, aliases, and a near miss answered with what was meant."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from resnet_paper.study.options import NetworkName, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command()
@set_options
@click.option("--network", type=NetworkName(), default="")
def show(study: Study, trainer: Trainer, network: str) -> None:
    """The study and the trainer that the options give."""
    click.echo(
        f"{study.settings} {trainer.device} {trainer.precision} {study.seeds} {network}".strip()
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", "paper auto auto 1"),
        ("--settings Paper --device GPU --precision FP32", "paper cuda float32 1"),
        ("--settings Paper-45K --precision bf16 --seeds 3", "paper-45k auto bfloat16 3"),
        ("--network ResNet20", "paper auto auto 1 resnet-20"),
    ],
)
def test_what_is_typed_is_what_is_meant(typed: str, meant: str) -> None:
    result = CliRunner().invoke(show, typed.split())
    assert (result.exit_code, result.output) == (0, f"{meant}\n")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("--settings overnite", "did you mean 'overnight'?"),
        ("--device cdua", "did you mean 'cuda'?"),
        ("--precision float23", "did you mean 'float32'?"),
        ("--network resent-20", "did you mean resnet-20?"),
        ("--seeds 0,1,2", "SEEDS=3 asks for three runs"),
        ("--seeds 0", "is not a number of seeds"),
        ("--runs file", "file is a file"),
        ("--runs mine/paper", "mine/paper is inside a directory of runs"),
        ("--runs mine/paper/plain-20", "mine/paper/plain-20 is inside a directory of runs"),
        ("--data-dir data/cifar-10-batches-py", "is CIFAR-10 itself: name the directory"),
        ("--data-dir data/imagenette2-160", "is Imagenette itself: name the directory"),
        ("--data-dir data/imagenette2-160/train", "data/imagenette2-160 is Imagenette itself"),
    ],
)
def test_a_slip_is_one_line_that_says_what_to_do(
    typed: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("data/cifar-10-batches-py").mkdir(parents=True)
    Path("data/imagenette2-160/train").mkdir(parents=True)
    Path("mine/paper/plain-20/seed-0").mkdir(parents=True)
    Path("mine/paper/plain-20/seed-0/run.json").touch()
    result = CliRunner().invoke(show, typed.split())
    assert result.exit_code in (1, 2)
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert says in line
