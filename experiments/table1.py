"""Table 1: parameters and multiply-adds of the ImageNet networks: `make table1`."""

import click
import torch

from resnet_paper.networks import counts, resnets
from resnet_paper.paper import facts
from resnet_paper.results import tables
from resnet_paper.study.study import FIGURES


@click.command()
def main() -> None:
    """Count; nothing is trained."""
    counted = {}
    with torch.device("meta"):  # shapes without numbers
        images = torch.zeros(1, 3, 224, 224)
        for layers in facts.TABLE1_MULTIPLY_ADDS:
            network = resnets.imagenet_net(layers)
            counted[layers] = counts.parameters(network), counts.multiply_adds(network, images)
    table = tables.table1(counted)
    click.echo(table.markdown())
    click.echo(" ".join(map(str, tables.save(table, FIGURES))))


if __name__ == "__main__":
    main()
