"""The statistics of batch normalization (BN)."""

from __future__ import annotations

from torch import Tensor, nn

BN_MOMENTUM = 0.1  # torch's default


def bn_statistics(network: nn.Module) -> list[Tensor]:
    """The moving averages of a network's BN layers: of each its mean and its variance.

    Raises ValueError if a layer has none, or another momentum than BN_MOMENTUM.
    """
    statistics = []
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.running_mean is None or module.running_var is None:
                raise ValueError(f"{name} has no moving averages")
            if module.momentum != BN_MOMENTUM:
                raise ValueError(f"{name} has momentum {module.momentum}, not {BN_MOMENTUM}")
            statistics += [module.running_mean, module.running_var]
    return statistics


def without_bn(network: nn.Module) -> nn.Module:
    """The network, each of its BN layers replaced by the identity."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return network
