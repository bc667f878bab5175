"""The paper's claims as checks on the recorded runs: `make claims`."""

import click

from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import Recorded
from resnet_paper.study.options import Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
def main(study: Study) -> None:
    """Say of each claim of section 4.2 whether it holds; trains nothing."""
    draw(study)


def draw(study: Study) -> None:
    """The verdict on each claim."""
    recorded = Recorded(study.results_to_draw(), study.settings, study.note)
    click.echo(artefacts.draw("claims", recorded, study.output))


if __name__ == "__main__":
    main()
