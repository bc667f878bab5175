"""Figure 7 from the recorded weights, or of any weights: `python -m resnet_paper.responses`."""

import os
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "agg"  # matplotlib refuses the name of a backend that it lacks
    os.environ["MATPLOTLIBRC"] = os.devnull  # the user's decides nothing here, readable or not

import click

from resnet_paper import pretrained
from resnet_paper.errors import UserError
from resnet_paper.paper import facts
from resnet_paper.results import artefacts, figures
from resnet_paper.results.artefacts import Recorded
from resnet_paper.study import responses
from resnet_paper.study.options import FILE, Command, NetworkName, options
from resnet_paper.study.study import PUBLISHED, Study


@click.command(cls=Command)
@options
@click.option("--weights", type=FILE)
@click.option(
    "--network", type=NetworkName(), help="The network that --weights are of, as in resnet-20."
)
def main(study: Study, weights: Path | None, network: str | None) -> None:
    """Figure 7, from the recorded weights of its five networks; or of any weights, beside these."""
    if (weights is None) != (network is None):
        raise UserError("--weights and --network go together")
    train = f"make train {study.in_make} NETWORK="
    if (
        study.root == PUBLISHED and pretrained.PUBLISHED != pretrained.IN_CLONE
    ):  # an installed package
        train = f"python -m resnet_paper.train --settings {study.settings} --network "
        study = replace(study, root=pretrained.PUBLISHED)
    if weights is not None and network is not None:
        table = responses.own_responses(study, weights, network)
        click.echo(table.to_string(index=False))
        click.echo(f"{network}: mean over {len(table)} layers {table['std'].mean():.3f}")
        own = {f"{network}, {weights.name}": table}
        results = study.results(facts.FIGURE7_NETWORKS)
        figure = figures.figure7(results, study.recipe, own=own)
        click.echo(" ".join(map(str, figures.save(figure, study.output / "figure7_own"))))
        return
    responses.record_missing(study)
    results = study.results_to_draw(facts.FIGURE7_NETWORKS)
    for name in facts.FIGURE7_NETWORKS:
        if not any(result.network == name for result in results):
            click.echo(f"{name} is not recorded: {train}{name}")
    click.echo(artefacts.draw("fig7", Recorded(results, study.settings, study.note), study.output))


if __name__ == "__main__":
    main()
