"""Table 1: parameters and multiply-adds of the ImageNet networks: `make table1`."""

from pathlib import Path

import click
import torch

from resnet_paper import models, paper, tables


@click.command()
def main() -> None:
    """Count; nothing is trained."""
    counts = {}
    with torch.device("meta"):  # shapes without numbers
        images = torch.zeros(1, 3, 224, 224)
        for layers in paper.TABLE1_MULTIPLY_ADDS:
            network = models.imagenet_net(layers)
            counts[layers] = models.parameters(network), models.multiply_adds(network, images)
    click.echo(tables.save_table1(counts, Path("figures")))


if __name__ == "__main__":
    main()
