"""Figure 6: `make fig6 DEPTHS="20 32 44 56 110"`."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.errors import UserError
from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.study.options import (
    Command,
    NetworkName,
    depths_option,
    plain_depths_option,
    set_options,
)
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer

DEFAULT_NETWORK = Recorded.network
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
    needed = ARTEFACTS["fig6"].networks(Wanted(study.settings, resnets, plain))
    check_network(study, network, [] if trainer.draw_only else needed)
    trainer.complete(study, study.runs_of(needed), study.output)
    draw(study, network)


def check_network(study: Study, network: str, trained: Sequence[str]) -> None:
    """UserError unless the net whose precise BN is drawn is recorded or will be trained."""
    if network not in {DEFAULT_NETWORK, *trained} and not study.has_begun(network):
        raise UserError(
            f"{network} is neither recorded in {study.root} nor trained for this figure"
        )


def draw(study: Study, network: str = DEFAULT_NETWORK) -> None:
    """Figure 6 as the paper draws it, with precise BN, with the paper's curves; its tables."""
    recorded = Recorded(study.results_to_draw(), study.settings, study.note, network)
    click.echo(artefacts.draw("fig6", recorded, study.output))


if __name__ == "__main__":
    main()
