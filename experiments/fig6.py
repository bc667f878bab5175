"""Figure 6: `make fig6 DEPTHS="20 32 44 56 110"`."""

import click

from resnet_paper.errors import UserError
from resnet_paper.paper import facts
from resnet_paper.results import figures, tables
from resnet_paper.results.curves import PRECISE
from resnet_paper.results.panels import has_paper_length
from resnet_paper.runs.recipe import PAPER
from resnet_paper.study.options import Command, NetworkName, depths, options, set_options
from resnet_paper.study.study import Study

DEFAULT_NETWORK = "resnet-20"


@click.command(cls=Command)
@set_options
@options
@click.option("--depths", "resnets", default=facts.RESNET_DEPTHS, callback=depths("resnet"))
@click.option("--plain-depths", "plain", default=facts.PLAIN_DEPTHS, callback=depths("plain"))
@click.option(
    "--network",
    type=NetworkName(),
    default=DEFAULT_NETWORK,
    help="The net whose moving and precise BN are compared.",
)
def main(study: Study, resnets: list[str], plain: list[str], network: str) -> None:
    """Train the plain and residual nets that are missing, then draw the paper's Figure 6."""
    check_network(study, network, plain + resnets)
    study.complete(study.runs_of(plain + resnets))
    draw(study, network)


def check_network(study: Study, network: str, trained: list[str]) -> None:
    """UserError unless the net whose precise BN is drawn is recorded or will be trained."""
    known = {DEFAULT_NETWORK, *([] if study.draw_only else trained)}
    if network not in known and not study.has_begun(network):
        raise UserError(
            f"{network} is neither recorded in {study.root} nor trained for this figure"
        )


def draw(study: Study, network: str = DEFAULT_NETWORK) -> None:
    """Figure 6 as the paper draws it, with precise BN, with the paper's curves; its tables."""
    results, recipe = study.results_to_draw(), study.recipe
    drawn = {
        "figure6": figures.figure6(results, recipe),
        "figure6_precise": figures.figure6(results, recipe, test=PRECISE, with_paper=True),
        "precise_bn": figures.precise_bn(results, network, recipe),
    }
    if has_paper_length(recipe):
        drawn["figure6_paper"] = figures.figure6(results, recipe, with_paper=True)
    for name, figure in drawn.items():
        paths = figures.save(figure, study.output / name)
        click.echo(" ".join(map(str, paths)) or f"{name}: nothing is recorded yet")
    written = [tables.training(results, study.note)]
    if recipe == PAPER:
        written.append(tables.distances(results, study.note))
    for table in written:
        click.echo(" ".join(map(str, tables.save(table, study.output))))


if __name__ == "__main__":
    main()
