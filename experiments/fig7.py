"""Figure 7: `make fig7`."""

import click

from resnet_paper.paper import facts
from resnet_paper.results import figures, tables
from resnet_paper.study.options import Command, options, set_options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@set_options
@options
def main(study: Study) -> None:
    """Train Figure 7's networks that are missing, measure their responses, draw the figure."""
    study.complete(study.runs_of(facts.FIGURE7_NETWORKS))
    draw(study)


def draw(study: Study) -> None:
    """Figure 7 and its means, the responses that are missing measured first."""
    if not study.draw_only:
        from resnet_paper.study.responses import record_missing  # loads torch

        record_missing(study)
    results = study.results_to_draw(facts.FIGURE7_NETWORKS)
    table = tables.responses(results, study.note)
    click.echo(table.markdown())
    paths = figures.save(figures.figure7(results, study.recipe), study.output / "figure7")
    click.echo(" ".join(map(str, paths)) or "figure7: nothing is recorded yet")
    click.echo(" ".join(map(str, tables.save(table, study.output))))


if __name__ == "__main__":
    main()
