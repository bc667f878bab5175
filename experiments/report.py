"""The study as one HTML page: `make report`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.results.report import page
from resnet_paper.runs.files import write
from resnet_paper.study.options import Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
def main(study: Study) -> None:
    """Write a page of all that is recorded, with its sources; trains nothing."""
    path = study.output / "report.html"
    write(path, page(study.results_to_draw(), study.settings, study.note).encode())
    click.echo(path)


if __name__ == "__main__":
    main()
