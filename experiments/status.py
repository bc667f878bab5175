"""Every run of a study, finished, under way or missing: `make status`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.runs.recipe import COMPARED
from resnet_paper.study.options import (
    Command,
    depths_option,
    options,
    plain_depths_option,
    seeds_option,
)
from resnet_paper.study.status import how_to_drop, status
from resnet_paper.study.study import Study


@click.command(cls=Command)
@seeds_option
@options
@depths_option
@plain_depths_option
def main(study: Study, resnets: list[str], plain: list[str]) -> None:
    """Every run of a study: finished, under way, stopped or missing; and others begun."""
    statuses = status(study, study.runs_of(COMPARED.get(study.settings, plain + resnets)))
    for line in filter(None, [*statuses, how_to_drop(statuses)]):
        click.echo(line)


if __name__ == "__main__":
    main()
