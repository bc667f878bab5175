"""Networks side by side by a recipe of epochs: `make compare`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.errors import UserError
from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.runs.recipe import COMPARED
from resnet_paper.study.options import Command, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command, context_settings={"default_map": {"settings": "100-epochs"}})
@set_options
def main(study: Study, trainer: Trainer) -> None:
    """Train what is missing of a comparison, then tabulate it and draw its curves."""
    if study.settings not in COMPARED:
        raise UserError(f"{study.settings!r} compares nothing: use {', '.join(COMPARED)}")
    needed = ARTEFACTS["comparison"].networks(Wanted(study.settings))
    trainer.complete(study, study.runs_of(needed), study.output)
    draw(study)


def draw(study: Study) -> None:
    """The networks of a comparison side by side, a row and a curve a run."""
    recorded = Recorded(study.results_to_draw(), study.settings, study.note)
    click.echo(artefacts.draw("comparison", recorded, study.output))


if __name__ == "__main__":
    main()
