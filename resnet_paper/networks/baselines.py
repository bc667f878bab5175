"""VGG-19 and SimpleCNN, which people compare ResNets with."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models import vgg

from resnet_paper.networks.resnets import initialise_convolutions


class HashDropout(nn.Module):
    """In training, each number becomes 0 or twice itself, at equal chances.

    The choice is a hash of a number's place and of how many passes there were, which is a buffer
    and so part of a checkpoint: a run resumes as if it had not been interrupted, on any device.
    """

    passes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.randint(2**40, ()))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        self.passes += 1
        bits = torch.arange(x.numel(), device=x.device) + self.passes * 0x1E3779B97F4A7C15
        for shift, factor in ((30, 0x3F58476D1CE4E5B9), (27, 0x14D049BB133111EB)):
            bits = (bits ^ (bits >> shift)) * factor  # as in splitmix64
        return x * (2 * ((bits >> 40) & 1)).to(x.dtype).view_as(x)


def vgg19(classes: int = 10) -> nn.Module:
    """VGG-19 with BN: torchvision's layers, average pooling, 512-4096-4096-classes classifier."""
    classifier = nn.Sequential(
        *(nn.Linear(512, 4096), nn.ReLU(), HashDropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(), HashDropout()),
        nn.Linear(4096, classes),
    )
    features = vgg.make_layers(vgg.cfgs["E"], batch_norm=True)
    initialise_convolutions(features)
    parts = {
        "features": features,
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "classifier": classifier,
    }
    return nn.Sequential(OrderedDict(parts))


def simple_cnn(classes: int = 10) -> nn.Module:
    """Three 3x3 convolutions with ReLU and 2x2 max-pooling, two fully connected layers; no BN."""
    layers: list[nn.Module] = []
    for channels_in, channels_out in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(2048, 256), nn.ReLU(), nn.Linear(256, classes)]
    return nn.Sequential(*layers, *head)
