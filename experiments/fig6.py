"""Figure 6: `make fig6 DEPTHS="20 32 44 56 110"`."""

import click

from resnet_paper import figures, paper, study


@click.command()
@study.set_options
@study.options
@click.option("--depths", default=paper.RESNET_DEPTHS, callback=study.depths("resnet"))
@click.option("--plain-depths", default=paper.PLAIN_DEPTHS, callback=study.depths("plain"))
def main(study: study.Study, depths: list[str], plain_depths: list[str]) -> None:
    """Train the plain and residual nets that are missing, then draw the paper's Figure 6."""
    networks = plain_depths + depths
    study.complete(study.runs_of(networks))
    runs = study.recorded() if study.draw_only else study.recorded(networks)
    figure = figures.figure6(runs, study.settings, study.caveat)
    figures.save(figure, study.output / "figure6")


if __name__ == "__main__":
    main()
