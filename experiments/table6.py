"""Table 6: `make table6`."""

import click

from resnet_paper.paper import facts
from resnet_paper.results import tables
from resnet_paper.study.options import Command, depths, options, set_options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@set_options
@options
@click.option("--depths", "networks", default=facts.RESNET_DEPTHS, callback=depths("resnet"))
def main(study: Study, networks: list[str]) -> None:
    """Train the ResNets that are missing, then write the paper's Table 6 and ours."""
    study.complete(study.runs_of(networks))
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
