"""Figure 6: `make fig6 DEPTHS="20 32 44 56 110"`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.errors import UserError
from resnet_paper.results import figures, tables
from resnet_paper.results.curves import PRECISE
from resnet_paper.results.panels import has_paper_length
from resnet_paper.runs.recipe import PAPER
from resnet_paper.study.options import (
    Command,
    NetworkName,
    depths_option,
    plain_depths_option,
    set_options,
)
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer

DEFAULT_NETWORK = "resnet-20"
network_option = click.option(
    "--network",
    type=NetworkName(),
    default=DEFAULT_NETWORK,
    show_default=True,
    help="Of figure 6: whose precise BN is drawn.",
)


@click.command(cls=Command)
@set_options
@depths_option
@plain_depths_option
@network_option
def main(
    study: Study, trainer: Trainer, resnets: list[str], plain: list[str], network: str
) -> None:
    """Train the plain and residual nets that are missing, then draw the paper's Figure 6."""
    check_network(study, network, [] if trainer.draw_only else plain + resnets)
    trainer.complete(study, study.runs_of(plain + resnets), study.output)
    draw(study, network)


def check_network(study: Study, network: str, trained: list[str]) -> None:
    """UserError unless the net whose precise BN is drawn is recorded or will be trained."""
    if network not in {DEFAULT_NETWORK, *trained} and not study.has_begun(network):
        raise UserError(
            f"{network} is neither recorded in {study.root} nor trained for this figure"
        )


def draw(study: Study, network: str = DEFAULT_NETWORK) -> None:
    """Figure 6 as the paper draws it, with precise BN, with the paper's curves; its tables."""
    results, recipe = study.results_to_draw(), study.recipe
    drawn = {
        "figure6": figures.figure6(results, recipe),
        "figure6_precise": figures.figure6(results, recipe, test=PRECISE, with_paper=True),
        "precise_bn": figures.precise_bn(results, network, recipe),
    }
    if has_paper_length(recipe):
        drawn["figure6_paper"] = figures.figure6(results, recipe, with_paper=True)
    for name, figure in drawn.items():
        paths = figures.save(figure, study.output / name)
        click.echo(" ".join(map(str, paths)) or f"{name}: nothing is recorded yet")
    written = [tables.training(results, study.note)]
    if recipe == PAPER:
        written.append(tables.distances(results, study.note))
    for table in written:
        click.echo(" ".join(map(str, tables.save(table, study.output))))


if __name__ == "__main__":
    main()
