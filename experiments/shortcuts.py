"""The shortcut options A, B and C at one depth: `make shortcuts DEPTH=20`."""

import click

from resnet_paper.results import artefacts
from resnet_paper.results.artefacts import ARTEFACTS, Recorded, Wanted
from resnet_paper.study.options import Command, depth, options, set_options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@set_options
@options
@click.option("--depth", "layers", type=int, default=20, callback=depth, show_default=True)
def main(study: Study, layers: int) -> None:
    """Train what is missing of the three options, then tabulate them as the paper's Table 3."""
    needed = ARTEFACTS["shortcuts"].networks(Wanted(study.settings, depth=layers))
    study.complete(study.runs_of(needed))
    recorded = Recorded(study.results_to_draw(), study.settings, study.note)
    click.echo(artefacts.draw("shortcuts", recorded, study.output))


if __name__ == "__main__":
    main()
