"""Train one run: `python -m resnet_paper.train --network plain-56 --seed 3`, or `make train`."""

import click

from resnet_paper.study.options import Command, NetworkName, Seed, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
@click.option(
    "--network",
    type=NetworkName(),
    required=True,
    help="plain-DEPTH or resnet-DEPTH, as in resnet-20.",
)
@click.option("--seed", type=Seed(), default=0, show_default=True)
def main(study: Study, network: str, seed: int) -> None:
    """Train one network from one seed, from its last checkpoint if it has one."""
    run = study.run(network, seed)
    study.complete([run])
    result = run.result()
    error = "diverged" if result.diverged else f"test error {result.record.test_error:.2f}%"
    click.echo(f"{run}: {error}, in {run.directory}")


if __name__ == "__main__":
    main()
