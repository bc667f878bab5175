"""Figure 6: `make fig6 DEPTHS="20 32 44 56 110"`."""

import click

from resnet_paper import figures, study


@click.command()
@study.options
@click.option("--depths", "residual", default="20 32 44 56 110", callback=study.depths("resnet"))
@click.option("--plain-depths", "plain", default="20 32 44 56", callback=study.depths("plain"))
def main(study: study.Study, residual: list[str], plain: list[str]) -> None:
    """Train the plain and residual nets that are missing, then draw the paper's Figure 6."""
    networks = plain + residual
    study.complete(study.runs_of(networks))
    figure = figures.figure6(study.recorded(networks), study.settings, study.caveat)
    figures.save(figure, study.output / "figure6")


if __name__ == "__main__":
    main()
