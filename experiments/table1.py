"""Table 1: parameters and multiply-adds of the ImageNet networks and others: `make table1`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.paper import facts
from resnet_paper.results import sizes, tables
from resnet_paper.study.study import FIGURES


@click.command()
def main() -> None:
    """Count the multiply-adds of the ImageNet networks, VGG and AlexNet; trains nothing."""
    import torch  # loads torch
    from torchvision import models

    from resnet_paper.networks import baselines, counts, resnets

    with torch.device("meta"):  # shapes without numbers
        images = torch.zeros(1, 3, 224, 224)
        networks = {
            **{f"ResNet-{n}": resnets.imagenet_net(n) for n in facts.TABLE1_MULTIPLY_ADDS},
            **{f"VGG-{n}": getattr(models, f"vgg{n}")() for n in facts.VGG_MULTIPLY_ADDS},
            "AlexNet": baselines.alexnet(),
        }
        counted = {name: counts.count(network, images) for name, network in networks.items()}
    table = sizes.table1(counted)
    click.echo(table.markdown())
    click.echo(" ".join(map(str, tables.save(table, FIGURES))))


if __name__ == "__main__":
    main()
