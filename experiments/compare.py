"""Networks side by side by a recipe of epochs: `make compare`."""

import click

from resnet_paper.errors import UserError
from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.runs.recipe import COMPARED
from resnet_paper.study.options import Command, options, set_options
from resnet_paper.study.study import Study


@click.command(cls=Command, context_settings={"default_map": {"settings": "100-epochs"}})
@set_options
@options
def main(study: Study) -> None:
    """Train what is missing of a comparison, then tabulate it and draw its curves."""
    if study.settings not in COMPARED:
        raise UserError(f"{study.settings!r} compares nothing: use {', '.join(COMPARED)}")
    study.complete(study.runs_of(ARTEFACTS["comparison"].networks(Wanted(study.settings))))
    draw(study)


def draw(study: Study) -> None:
    """The networks of a comparison side by side, a row and a curve a run."""
    recorded = Recorded(study.results_to_draw(), study.settings, study.note)
    click.echo(artefacts.draw("comparison", recorded, study.output))


if __name__ == "__main__":
    main()
