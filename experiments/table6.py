"""Table 6: `make table6`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.results import tables
from resnet_paper.study.options import Command, depths_option, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@set_options
@depths_option
def main(study: Study, trainer: Trainer, resnets: list[str]) -> None:
    """Train the ResNets that are missing, then write the paper's Table 6 and ours."""
    trainer.complete(study, study.runs_of(resnets), study.output)
    draw(study)


def draw(study: Study) -> None:
    """Table 6, the plain nets in the same form, and others' reproductions."""
    results = study.results_to_draw()
    table6 = tables.table6(results, study.recipe, study.note)
    click.echo(table6.markdown())
    for table in (
        table6,
        tables.plain(results, study.recipe, study.note),
        tables.reproductions(results, study.recipe, study.note),
    ):
        click.echo(" ".join(map(str, tables.save(table, study.output))))


if __name__ == "__main__":
    main()
