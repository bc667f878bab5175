"""The study as one HTML page: `make report`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.errors import UserError
from resnet_paper.runs import gradients
from resnet_paper.runs.files import write
from resnet_paper.study.options import Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
def main(study: Study) -> None:
    """Write a page of all that is recorded, with its sources; trains nothing."""
    try:
        from resnet_paper.results.report import page
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        raise UserError(
            f"the report needs the package {package}: pip install 'resnet_paper[report]', or "
            "make report, which installs it"
        ) from error
    path = study.output / "report.html"
    measured = gradients.read(study.output)
    write(path, page(study.results_to_draw(), study.settings, study.note, measured).encode())
    click.echo(path)


if __name__ == "__main__":
    main()
