"""Networks side by side by a recipe of epochs: `make compare`."""

import click

from resnet_paper.errors import UserError
from resnet_paper.results import figures, tables
from resnet_paper.runs.recipe import COMPARED
from resnet_paper.study import study


@click.command()
@study.set_options
@study.options
def main(study: study.Study) -> None:
    """Train what is missing of a comparison, then tabulate it and draw its curves."""
    if study.settings not in COMPARED:
        raise UserError(f"{study.settings!r} compares nothing: use {', '.join(COMPARED)}")
    networks = COMPARED[study.settings]
    study.complete(study.runs_of(networks))
    runs = [run for network in networks for run in study.to_draw([network])]
    click.echo(tables.save_comparison(runs, study.settings, study.output, study.caveat))
    figure = figures.comparison(runs, study.settings, study.caveat)
    figures.save(figure, study.output / "comparison")


if __name__ == "__main__":
    main()
