"""Table 6: `make table6`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.study.options import Command, depths_option, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@set_options
@depths_option
def main(study: Study, trainer: Trainer, resnets: list[str]) -> None:
    """Train the ResNets that are missing, then write the paper's Table 6 and ours."""
    needed = ARTEFACTS["table6"].networks(Wanted(study.settings, resnets))
    trainer.complete(study, study.runs_of(needed), study.output)
    draw(study)


def draw(study: Study) -> None:
    """Table 6, the plain nets in the same form, and others' reproductions."""
    recorded = Recorded(study.results_to_draw(), study.settings, study.note)
    click.echo(artefacts.draw("table6", recorded, study.output))


if __name__ == "__main__":
    main()
