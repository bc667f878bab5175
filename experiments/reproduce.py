"""Several of Table 6, Figure 6, Figure 7 and the claims: `make table6 fig6 fig7`."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.errors import UserError
from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.runs import gradients
from resnet_paper.study.options import (
    Command,
    NetworkName,
    depths_option,
    plain_depths_option,
    set_options,
)
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer

TARGETS = ("table6", "fig6", "fig7", "claims")
network_option = click.option(
    "--network",
    type=NetworkName(),
    default=Recorded.network,
    show_default=True,
    help="Of figure 6: whose precise BN is drawn.",
)


@click.command(cls=Command)
@click.argument("targets", nargs=-1, type=click.Choice(TARGETS))
@set_options
@depths_option
@plain_depths_option
@network_option
def main(
    targets: Sequence[str],
    study: Study,
    trainer: Trainer,
    resnets: list[str],
    plain: list[str],
    network: str,
) -> None:
    """Train what any of the targets misses, by one plan, then make each; by default all."""
    reproduce(targets or TARGETS, study, trainer, Wanted(study.settings, resnets, plain), network)


def reproduce(
    names: Sequence[str],
    study: Study,
    trainer: Trainer,
    wanted: Wanted,
    network: str = Recorded.network,
) -> None:
    """Train what some artefacts need and is missing, by one plan, then draw each."""
    needed = list(
        dict.fromkeys(each for name in names for each in ARTEFACTS[name].networks(wanted))
    )
    if "fig6" in names:
        check_network(study, network, [] if trainer.draw_only else needed)
    trainer.complete(study, study.runs_of(needed), study.output)
    if "fig7" in names and not trainer.draw_only:
        from resnet_paper.study.responses import record_missing  # loads torch

        record_missing(study)
    draw(names, study, network)


def check_network(study: Study, network: str, trained: Sequence[str] = ()) -> None:
    """UserError unless the net whose precise BN is drawn is recorded or will be trained."""
    if network not in {Recorded.network, *trained} and not study.has_begun(network):
        raise UserError(
            f"{network} is neither recorded in {study.root} nor trained for this figure"
        )


def draw(names: Sequence[str], study: Study, network: str = Recorded.network) -> None:
    """Write the tables and figures of some artefacts and print what they say."""
    results, measured = study.results_to_draw(), gradients.read(study.output)
    recorded = Recorded(results, study.settings, study.note, network, measured)
    for name in names:
        click.echo(artefacts.draw(name, recorded, study.output))


if __name__ == "__main__":
    main()
