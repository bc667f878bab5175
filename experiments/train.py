"""Train one run: `make train NETWORK=plain-56 SEED=3`."""

import click

from resnet_paper.study import study


@click.command()
@study.options
@click.option("--network", required=True, help="plain-DEPTH or resnet-DEPTH, as in resnet-20.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
def main(study: study.Study, network: str, seed: int) -> None:
    """Train one network from one seed, from its last checkpoint if it has one."""
    run = study.run(network, seed)
    study.complete([run])
    error = "diverged" if run.diverged else f"test error {run.finished_record()['test_error']:.2f}%"
    click.echo(f"{run}: {error}, in {run.directory}")


if __name__ == "__main__":
    main()
