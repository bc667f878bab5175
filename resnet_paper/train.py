"""Train one run: `python -m resnet_paper.train --network plain-56 --seed 3`, or `make train`."""

import click

from resnet_paper.study.options import Command, NetworkName, Seed, options, trainer_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command)
@trainer_options
@options
@click.option(
    "--network",
    type=NetworkName(),
    required=True,
    help="Of train: as in resnet-20.",
)
@click.option("--seed", type=Seed(), default=0, show_default=True, help="Of train's run.")
def main(study: Study, trainer: Trainer, network: str, seed: int) -> None:
    """Train one network from one seed, from its last checkpoint if it has one."""
    run = study.run(network, seed)
    trainer.complete(study, [run])
    result = run.result()
    error = "diverged" if result.diverged else f"test error {result.record.test_error:.2f}%"
    click.echo(f"{run}: {error}, in {run.directory}")


if __name__ == "__main__":
    main()
