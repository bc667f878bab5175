"""torch.hub: `torch.hub.load("OWNER/resnet_paper", "resnet20", pretrained=True)`.

Each takes pixels in [0, 1], (N, 3, 32, 32), and gives logits, (N, 10). settings="overnight" gives
the weights of that training.
"""

from functools import partial as _partial

from resnet_paper import pretrained as _pretrained
from resnet_paper.networks.build import build

dependencies = ["torch", "torchvision", "numpy", "pandas", "click", "msgspec"]


def _entry(
    network: str, pretrained: bool = False, settings: str = "paper"
) -> _pretrained.Classifier:
    if pretrained:
        return _pretrained.load(network, settings=settings)
    return _pretrained.Classifier(build(network))


for _kind, _depths in {"plain": (20, 32, 44, 56), "resnet": (20, 32, 44, 56, 110)}.items():
    for _depth in _depths:
        globals()[f"{_kind}{_depth}"] = _partial(_entry, f"{_kind}-{_depth}")
