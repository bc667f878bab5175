"""Table 6: `make table6`."""

import click

from resnet_paper.paper import facts
from resnet_paper.results import tables
from resnet_paper.study import study


@click.command()
@study.set_options
@study.options
@click.option("--depths", "networks", default=facts.RESNET_DEPTHS, callback=study.depths("resnet"))
def main(study: study.Study, networks: list[str]) -> None:
    """Train the ResNets that are missing, then write the paper's Table 6 beside ours.

    Beside it, of what is recorded, the plain nets in the same form, and others' reproductions.
    """
    study.complete(study.runs_of(networks))
    runs = study.to_draw()
    click.echo(tables.save_table6(runs, study.output, study.caveat))
    click.echo(tables.save_plain(runs, study.output, study.caveat))
    click.echo(tables.save_reproductions(runs, study.recipe, study.output, study.caveat))


if __name__ == "__main__":
    main()
