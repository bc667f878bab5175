"""Whose statistics are BN's, and which layers precise BN would get wrong."""

import pytest
import torch
from torch import nn

from resnet_paper.networks.batch_norm import bn_statistics
from resnet_paper.networks.build import build


def test_only_bn_layers_have_bn_statistics() -> None:
    """Another buffer of floats is left alone: it is no moving average."""
    network = build("resnet-8")
    network.register_buffer("scale", torch.ones(3))
    statistics = bn_statistics(network)
    assert len(statistics) == 2 * 7
    assert all(value is not network.scale for value in statistics)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.BatchNorm2d(3, momentum=0.01), "momentum 0.01, not 0.1"),
        (nn.BatchNorm2d(3, momentum=None), "momentum None, not 0.1"),
        (nn.BatchNorm2d(3, track_running_stats=False), "no moving averages"),
    ],
)
def test_bn_that_precise_statistics_would_get_wrong_is_refused(layer: nn.Module, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        bn_statistics(nn.Sequential(layer))
