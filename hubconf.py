"""torch.hub: `torch.hub.load("OWNER/resnet_paper", "resnet20", pretrained=True)`."""

from collections.abc import Callable as _Callable

from resnet_paper import pretrained as _pretrained
from resnet_paper.errors import UserError as _UserError
from resnet_paper.names import title as _title
from resnet_paper.networks.build import build as _build

dependencies = ["torch", "torchvision", "numpy", "pandas", "click", "msgspec"]


def _entry(network: str) -> _Callable[..., _pretrained.Classifier]:
    """The function that torch.hub calls for a network; its documentation is torch.hub.help's."""

    def entry(pretrained: bool = False, *, settings: str = "paper") -> _pretrained.Classifier:
        if not isinstance(pretrained, bool):
            raise _UserError(f"pretrained is True or False, not {pretrained!r}")
        if pretrained:
            return _pretrained.load(network, settings=settings)
        if settings != "paper":
            raise _UserError(f"settings={settings!r} is of published weights: give pretrained=True")
        return _pretrained.Classifier(_build(network))

    entry.__name__ = entry.__qualname__ = network.replace("-", "")
    entry.__doc__ = f"""{entry.__name__}(pretrained: bool = False, *, settings: str = "paper")

    {_title(network)} for CIFAR-10: pixels in [0, 1], (N, 3, 32, 32) -> logits, (N, 10).

    pretrained: with published weights, in test mode. settings: the training that they are of,
    "paper" or "overnight", an eighth of its length.
    """
    return entry


for _kind, _depths in {"plain": (20, 32, 44, 56), "resnet": (20, 32, 44, 56, 110)}.items():
    for _depth in _depths:
        globals()[f"{_kind}{_depth}"] = _entry(f"{_kind}-{_depth}")
