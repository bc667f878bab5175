"""Table 6: `make table6`."""

import click

from resnet_paper.paper import facts
from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.study.options import Command, depths, options, set_options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@set_options
@options
@click.option("--depths", "resnets", default=facts.RESNET_DEPTHS, callback=depths("resnet"))
def main(study: Study, resnets: list[str]) -> None:
    """Train the ResNets that are missing, then write the paper's Table 6 and ours."""
    study.complete(study.runs_of(ARTEFACTS["table6"].networks(Wanted(study.settings, resnets))))
    draw(study)


def draw(study: Study) -> None:
    """Table 6, the plain nets in the same form, and others' reproductions."""
    recorded = Recorded(study.results_to_draw(), study.settings, study.note)
    click.echo(artefacts.draw("table6", recorded, study.output))


if __name__ == "__main__":
    main()
