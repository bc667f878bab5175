"""The shortcut options A, B and C at one depth: `make shortcuts DEPTH=20`."""

import click

from resnet_paper import study, tables


@click.command()
@study.set_options
@study.options
@click.option("--depth", type=click.IntRange(min=1), default=20, show_default=True)
def main(study: study.Study, depth: int) -> None:
    """Train what is missing of the three options, then tabulate them as the paper's Table 3."""
    networks = {"A": f"resnet-{depth}", "B": f"resnet-{depth}-b", "C": f"resnet-{depth}-c"}
    study.complete(study.runs_of(list(networks.values())))
    runs = study.recorded(list(networks.values()))
    click.echo(tables.save_shortcuts(runs, networks, study.output, study.caveat))


if __name__ == "__main__":
    main()
