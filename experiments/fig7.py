"""Figure 7: `make fig7`."""

import click

from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.study.options import Command, options, set_options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@set_options
@options
def main(study: Study) -> None:
    """Train Figure 7's networks that are missing, measure their responses, draw the figure."""
    study.complete(study.runs_of(ARTEFACTS["fig7"].networks(Wanted(study.settings))))
    draw(study)


def draw(study: Study) -> None:
    """Figure 7 and its means, the responses that are missing measured first."""
    if not study.draw_only:
        from resnet_paper.study.responses import record_missing  # loads torch

        record_missing(study)
    recorded = Recorded(study.results_to_draw(), study.settings, study.note)
    click.echo(artefacts.draw("fig7", recorded, study.output))


if __name__ == "__main__":
    main()
