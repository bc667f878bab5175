"""Every run of a study, finished, under way or missing: `make status`."""

import click

from resnet_paper.paper import facts
from resnet_paper.runs.recipe import COMPARED
from resnet_paper.study.options import Command, depths, options, set_options
from resnet_paper.study.status import status
from resnet_paper.study.study import Study


@click.command(cls=Command)
@set_options
@options
@click.option("--depths", "resnets", default=facts.RESNET_DEPTHS, callback=depths("resnet"))
@click.option("--plain-depths", "plain", default=facts.PLAIN_DEPTHS, callback=depths("plain"))
def main(study: Study, resnets: list[str], plain: list[str]) -> None:
    """Say where each run of Table 6 and Figure 6, or of a comparison, stands, and others begun."""
    for line in status(study, study.runs_of(COMPARED.get(study.settings, plain + resnets))):
        click.echo(line)


if __name__ == "__main__":
    main()
