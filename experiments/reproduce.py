"""Several of Table 6, Figure 6, Figure 7 and the claims: `make table6 fig6 fig7`, `make demo`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments import claims, fig6, fig7, table6
from resnet_paper.results.artefacts import ARTEFACTS, Wanted
from resnet_paper.study.options import Command, depths_option, plain_depths_option, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer

TARGETS = ("table6", "fig6", "fig7", "claims")


@click.command(cls=Command)
@click.argument("targets", nargs=-1, type=click.Choice(TARGETS))
@set_options
@depths_option
@plain_depths_option
@fig6.network_option
def main(targets: Sequence[str], **how: Any) -> None:
    """Train what any of the targets misses, by one plan, then make each; by default all."""
    reproduce(targets or TARGETS, **how)


def reproduce(
    targets: Sequence[str],
    study: Study,
    trainer: Trainer,
    resnets: list[str],
    plain: list[str],
    network: str = fig6.DEFAULT_NETWORK,
) -> None:
    """Make some of TARGETS, with what they miss trained first."""
    wanted = Wanted(study.settings, resnets, plain)
    needed = [each for target in targets for each in ARTEFACTS[target].networks(wanted)]
    if "fig6" in targets:
        fig6.check_network(study, network, [] if trainer.draw_only else needed)
    trainer.complete(study, study.runs_of(list(dict.fromkeys(needed))), study.output)
    if "table6" in targets:
        table6.draw(study)
    if "fig6" in targets:
        fig6.draw(study, network)
    if "fig7" in targets:
        if not trainer.draw_only:
            fig7.measure(study)
        fig7.draw(study)
    if "claims" in targets:
        claims.draw(study)


if __name__ == "__main__":
    main()
