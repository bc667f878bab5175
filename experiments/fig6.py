"""Figure 6: `make fig6 DEPTHS="20 32 44 56 110"`."""

import click

from resnet_paper.errors import UserError
from resnet_paper.paper import facts
from resnet_paper.results import figures, tables
from resnet_paper.runs.recipe import PAPER
from resnet_paper.study import study

DEFAULT_NETWORK = "resnet-20"


@click.command()
@study.set_options
@study.options
@click.option("--depths", default=facts.RESNET_DEPTHS, callback=study.depths("resnet"))
@click.option("--plain-depths", default=facts.PLAIN_DEPTHS, callback=study.depths("plain"))
@click.option(
    "--network", default=DEFAULT_NETWORK, help="The net whose moving and precise BN are compared."
)
def main(study: study.Study, depths: list[str], plain_depths: list[str], network: str) -> None:
    """Train the plain and residual nets that are missing, then draw the paper's Figure 6.

    Also with precise BN, with the paper's curves behind ours, and how far ours are from them.
    """
    trained = [] if study.draw_only else plain_depths + depths
    if network not in {DEFAULT_NETWORK, *trained} and not study.has_begun(network):
        raise UserError(
            f"{network} is neither recorded in {study.root} nor trained for this figure"
        )
    study.complete(study.runs_of(plain_depths + depths))
    runs = study.to_draw()
    of_study = {"settings": study.settings, "caveat": study.caveat}
    figures.save(figures.figure6(runs, **of_study), study.output / "figure6")
    as_long = study.recipe.iterations == PAPER.iterations
    precise = figures.figure6(runs, **of_study, test=figures.PRECISE, beside_paper=as_long)
    figures.save(precise, study.output / "figure6_precise")
    panel = figures.precise_bn(runs, network, **of_study)
    figures.save(panel, study.output / "precise_bn")
    if as_long:
        beside = figures.figure6(runs, **of_study, beside_paper=True)
        figures.save(beside, study.output / "figure6_paper")
        click.echo(tables.save_distances(runs, study.output, study.caveat))


if __name__ == "__main__":
    main()
