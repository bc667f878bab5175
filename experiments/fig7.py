"""Figure 7: `make fig7`."""

import click

from resnet_paper import figures, paper, study


@click.command()
@study.set_options
@study.options
def main(study: study.Study) -> None:
    """Train Figure 7's networks that are missing, measure their responses, draw the figure."""
    networks = paper.FIGURE7_NETWORKS
    study.complete(study.runs_of(networks))
    if not study.draw_only:
        from resnet_paper.responses import record_missing  # torch, which drawing does not need

        record_missing(study)
    figure = figures.figure7(study.recorded(networks), study.caveat)
    figures.save(figure, study.output / "figure7")


if __name__ == "__main__":
    main()
