"""Figure 7: `make fig7`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.study.options import Command, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@set_options
def main(study: Study, trainer: Trainer) -> None:
    """Train Figure 7's networks that are missing, measure their responses, draw the figure."""
    trainer.complete(
        study, study.runs_of(ARTEFACTS["fig7"].networks(Wanted(study.settings))), study.output
    )
    if not trainer.draw_only:
        measure(study)
    draw(study)


def measure(study: Study) -> None:
    """Record the responses that are missing."""
    from resnet_paper.study.responses import record_missing  # loads torch

    record_missing(study)


def draw(study: Study) -> None:
    """Figure 7 and its means."""
    recorded = Recorded(study.results_to_draw(), study.settings, study.note)
    click.echo(artefacts.draw("fig7", recorded, study.output))


if __name__ == "__main__":
    main()
