"""The paper's claims as checks on the recorded runs: `make claims`."""

import click

from resnet_paper.results.tables import save
from resnet_paper.results.verdicts import claims_table
from resnet_paper.runs import gradients
from resnet_paper.study.options import Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
def main(study: Study) -> None:
    """Say of each claim of section 4.2 whether it holds; trains nothing."""
    draw(study)


def draw(study: Study) -> None:
    """The verdict on each claim."""
    measured = gradients.read(study.output)
    table = claims_table(study.results_to_draw(), study.recipe, study.note, measured)
    save(table, study.output)
    for verdict, claim in zip(table.text["verdict"], table.text["claim"], strict=True):
        click.echo(f"{verdict}: {claim}")
    click.echo(f"Numbers: {study.output / table.name}.md")


if __name__ == "__main__":
    main()
