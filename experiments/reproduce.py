"""Several of Table 6, Figure 6, Figure 7 and the claims: `make table6 fig6 fig7`, `make demo`."""

import sys
from pathlib import Path

import click

sys.path.append(str(Path(__file__).parents[1]))  # runs from any directory

from experiments import claims, fig6, fig7, table6
from resnet_paper.paper import facts
from resnet_paper.results.artefacts import ARTEFACTS, Wanted
from resnet_paper.study.options import Command, NetworkName, depths, options, set_options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@click.argument("targets", nargs=-1, type=click.Choice(["table6", "fig6", "fig7", "claims"]))
@set_options
@options
@click.option("--depths", "resnets", default=facts.RESNET_DEPTHS, callback=depths("resnet"))
@click.option("--plain-depths", "plain", default=facts.PLAIN_DEPTHS, callback=depths("plain"))
@click.option("--network", type=NetworkName(), default=fig6.DEFAULT_NETWORK)
def main(
    study: Study, targets: list[str], resnets: list[str], plain: list[str], network: str
) -> None:
    """Train what any of the targets misses, by one plan, then make each."""
    wanted = Wanted(study.settings, resnets, plain)
    needed = [network for target in targets for network in ARTEFACTS[target].networks(wanted)]
    if "fig6" in targets:
        fig6.check_network(study, network, needed)
    study.complete(study.runs_of(list(dict.fromkeys(needed))))
    if "table6" in targets:
        table6.draw(study)
    if "fig6" in targets:
        fig6.draw(study, network)
    if "fig7" in targets:
        fig7.draw(study)
    if "claims" in targets:
        claims.draw(study)


if __name__ == "__main__":
    main()
