"""Gradients by layer of plain and residual nets, with and without BN: `make gradients`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import draw
from resnet_paper.names import require_image_size
from resnet_paper.runs.files import require_writable
from resnet_paper.study.options import Command, Count, options, resnets
from resnet_paper.study.study import Study


@click.command(cls=Command)
@click.option("--seeds", type=Count(), default=5, show_default=True, help="New nets of each kind.")
@click.option(
    "--depths",
    "resnets",
    default="20 56 110",
    callback=resnets,
    show_default=True,
    help="Plain and residual nets, 6n+2.",
)
@click.option(
    "--full",
    is_flag=True,
    help="measures ten batches and 100 iterations of each network, in an hour, not minutes",
)
@options
def main(study: Study, resnets: list[str], full: bool) -> None:
    """Measure norms of gradients by layer, of new and recorded nets, and draw; trains no run."""
    from resnet_paper.study.gradients import measure  # loads torch

    pairs = [(residual.replace("resnet", "plain"), residual) for residual in resnets]
    networks = [network for pair in pairs for network in pair]
    for network in networks:
        require_image_size(network, study.recipe.image_size)
    study.results_to_draw()  # refuses RUNS without any
    require_writable(study.output)
    measure(study, networks, study.seeds, full).write(study.output)
    draw(["gradients"], study)


if __name__ == "__main__":
    main()
