"""The shortcut options A, B and C at one depth: `make shortcuts DEPTH=20`."""

import click

from resnet_paper.networks import names
from resnet_paper.results import tables
from resnet_paper.study import study


@click.command()
@study.set_options
@study.options
@click.option("--depth", type=int, default=20, callback=study.depth, show_default=True)
def main(study: study.Study, depth: int) -> None:
    """Train what is missing of the three options, then tabulate them as the paper's Table 3."""
    networks = list(names.shortcut_networks(depth).values())
    study.complete(study.runs_of(networks))
    click.echo(tables.save_shortcuts(study.to_draw(networks), depth, study.output, study.caveat))


if __name__ == "__main__":
    main()
