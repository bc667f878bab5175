"""Training speed beside a plain PyTorch loop: `make bench`."""

import click

from resnet_paper import bench, compute
from resnet_paper.recipe import PAPER


@click.command()
@click.option("--device", type=click.Choice(compute.DEVICES), default="auto")
@click.option("--networks", default="resnet-20 resnet-56", show_default=True)
def main(device: str, networks: str) -> None:
    """Time training iterations of 128 images: ours, and a plain PyTorch loop's, in turns."""
    for network in networks.split():
        ours, plain = bench.compare(network, device)
        click.echo(
            f"{network}: ours {ours:.3f} s an iteration ({PAPER.batch_size / ours:,.0f} images/s), "
            f"plain PyTorch {plain:.3f} s ({PAPER.batch_size / plain:,.0f}): {plain / ours:.2f}x"
        )


if __name__ == "__main__":
    main()
