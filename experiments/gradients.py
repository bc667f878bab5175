"""Gradients by layer, plain and residual nets with and without BN: `make gradients`."""

import click

from resnet_paper.results import figures, tables
from resnet_paper.results import gradients as drawn
from resnet_paper.runs import gradients as measured
from resnet_paper.study.options import Command, Count, depths, options
from resnet_paper.study.study import Study

DEPTHS, SEEDS = "20 56 110", 5


@click.command(cls=Command)
@options
@click.option("--depths", "residual", default=DEPTHS, callback=depths("resnet"))
@click.option("--seeds", type=Count(), default=SEEDS, help="How many new networks of each kind.")
def main(study: Study, residual: list[str], seeds: int) -> None:
    """Measure gradients of new networks and of the recorded ones, then draw; trains no run."""
    from resnet_paper.study.gradients import measure  # loads torch

    plain = [network.replace("resnet", "plain") for network in residual]
    networks = [network for pair in zip(plain, residual, strict=True) for network in pair]
    measure(study, networks, seeds).write(study.output)
    draw(study)


def draw(study: Study) -> None:
    """Figure and table of the gradients that were measured, if they were."""
    gradients = measured.read(study.output)
    if gradients is None:
        click.echo(f"gradients: make gradients {study.in_make} measures them")
        return
    table = drawn.table(gradients, study.note)
    click.echo(table.markdown())
    paths = figures.save(drawn.figure(gradients, study.recipe), study.output / "gradients")
    click.echo(" ".join(map(str, [*paths, *tables.save(table, study.output)])))


if __name__ == "__main__":
    main()
