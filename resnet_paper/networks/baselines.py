"""VGG-19, SimpleCNN and AlexNet, which people compare ResNets with."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


def vgg_19(classes: int = 10, channels: int = 3) -> nn.Module:
    """VGG-19 with BN: torchvision's layers, average pooling, 512-4096-4096-classes classifier."""
    from torchvision.models import vgg  # takes seconds to import

    classifier = two_dropouts(512, classes)
    features = vgg.make_layers(vgg.cfgs["E"], batch_norm=True)
    if channels != 3:
        features[0] = nn.Conv2d(channels, 64, 3, padding=1)
    initialise_convolutions(features)
    parts = {
        "features": features,
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "classifier": classifier,
    }
    return nn.Sequential(OrderedDict(parts))


def simple_cnn(classes: int = 10, channels: int = 3) -> nn.Module:
    """Three 3x3 convolutions with ReLU and 2x2 max-pooling, two fully connected layers; no BN."""
    layers: list[nn.Module] = []
    for channels_in, channels_out in ((channels, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(2048, 256), nn.ReLU(), nn.Linear(256, classes)]
    return nn.Sequential(*layers, *head)


def mnist_cnn(classes: int = 10, channels: int = 1) -> nn.Module:
    """Two 3x3 convolutions of 32 and 64 filters with ReLU and 2x2 max-pooling, 3136-128-classes.

    (N, 1, 28, 28) -> logits (N, classes).
    """
    return nn.Sequential(
        *(nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, classes)),
    )


class AveragePool(nn.Module):
    """nn.AdaptiveAvgPool2d of square maps, (N, C, H, H) -> (N, C, size, size), as matrix products.

    Its gradient has the same bits each time, on a GPU too.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        weights = F.adaptive_avg_pool1d(identity, self.size)  # (H, size)
        return weights.T @ x @ weights


def vgg_16(classes: int = 1_000, channels: int = 3) -> nn.Module:
    """VGG-16 without BN: torchvision's layers, 7x7 maps, 25088-4096-4096-classes classifier.

    (N, 3, 224, 224) -> logits (N, classes); maps of other images are pooled or stretched to 7x7.
    """
    from torchvision.models import vgg  # takes seconds to import

    features = vgg.make_layers(vgg.cfgs["D"])
    if channels != 3:
        features[0] = nn.Conv2d(channels, 64, 3, padding=1)
    initialise_convolutions(features)
    parts = {"features": features, "pool": AveragePool(7), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict(parts | {"classifier": two_dropouts(512 * 7 * 7, classes)}))


HIDDEN = 4096  # units of each of the two layers before the last


def two_dropouts(inputs: int, classes: int) -> nn.Module:
    """The classifier of AlexNet and VGG: inputs-4096-4096-classes, dropout after each ReLU."""
    return nn.Sequential(
        *(nn.Linear(inputs, HIDDEN), nn.ReLU(), HashDropout()),
        *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), HashDropout()),
        nn.Linear(HIDDEN, classes),
    )


def alexnet(classes: int = 1_000, channels: int = 3) -> nn.Module:
    """AlexNet as a single tower of 96-256-384-384-256 filters, without response normalisation.

    (N, 3, 224, 224) -> logits (N, classes); maps of other images are pooled or stretched to 6x6.
    The original is two towers, one on each GPU: three of its convolutions see only half of the
    channels, so that it has fewer parameters.
    """
    features = nn.Sequential(
        *(nn.Conv2d(channels, 96, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    parts = {"features": features, "pool": AveragePool(6), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict(parts | {"classifier": two_dropouts(256 * 6 * 6, classes)}))
