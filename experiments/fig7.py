"""Figure 7: `make fig7`."""

import click

from resnet_paper.paper import facts
from resnet_paper.results import figures, tables
from resnet_paper.study import study


@click.command()
@study.set_options
@study.options
def main(study: study.Study) -> None:
    """Train Figure 7's networks that are missing, measure their responses, draw the figure."""
    networks = facts.FIGURE7_NETWORKS
    study.complete(study.runs_of(networks))
    if not study.draw_only:
        from resnet_paper.responses import record_missing  # torch, which drawing does not need

        record_missing(study)
    runs = study.to_draw(networks)
    figures.save(figures.figure7(runs, study.caveat), study.output / "figure7")
    click.echo(tables.save_responses(runs, study.output, study.caveat))


if __name__ == "__main__":
    main()
