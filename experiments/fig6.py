"""Figure 6: `make fig6 DEPTHS="20 32 44 56 110"`."""

from collections.abc import Sequence

import click

from resnet_paper.errors import UserError
from resnet_paper.paper import facts
from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.study.options import Command, NetworkName, depths, options, set_options
from resnet_paper.study.study import Study

DEFAULT_NETWORK = Recorded.network


@click.command(cls=Command)
@set_options
@options
@click.option("--depths", "resnets", default=facts.RESNET_DEPTHS, callback=depths("resnet"))
@click.option("--plain-depths", "plain", default=facts.PLAIN_DEPTHS, callback=depths("plain"))
@click.option(
    "--network",
    type=NetworkName(),
    default=DEFAULT_NETWORK,
    help="The net whose moving and precise BN are compared.",
)
def main(study: Study, resnets: list[str], plain: list[str], network: str) -> None:
    """Train the plain and residual nets that are missing, then draw the paper's Figure 6."""
    needed = ARTEFACTS["fig6"].networks(Wanted(study.settings, resnets, plain))
    check_network(study, network, needed)
    study.complete(study.runs_of(needed))
    draw(study, network)


def check_network(study: Study, network: str, trained: Sequence[str]) -> None:
    """UserError unless the net whose precise BN is drawn is recorded or will be trained."""
    known = {DEFAULT_NETWORK, *([] if study.draw_only else trained)}
    if network not in known and not study.has_begun(network):
        raise UserError(
            f"{network} is neither recorded in {study.root} nor trained for this figure"
        )


def draw(study: Study, network: str = DEFAULT_NETWORK) -> None:
    """Figure 6 as the paper draws it, with precise BN, with the paper's curves; its tables."""
    recorded = Recorded(study.results_to_draw(), study.settings, study.note, network)
    click.echo(artefacts.draw("fig6", recorded, study.output))


if __name__ == "__main__":
    main()
