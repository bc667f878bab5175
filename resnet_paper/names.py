"""The networks' names: "plain-20", "resnet-20-b", "resnet-18", "imagenet-resnet-50", "vgg-19"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from resnet_paper.errors import UnknownNetworkError, UserError

CIFAR_CLASSES, IMAGENET_CLASSES = 10, 1_000
MOST = 10_000  # pixels, a side: no network is for larger images

# The families of which a name gives the depth, with their titles.
TITLES = {
    "plain": "plain",
    "resnet": "ResNet",
    "four-stage": "ResNet",
    "imagenet-resnet": "ImageNet ResNet",
}


class Name(NamedTuple):
    """The parts of a network's name, and what it is for.

    kind: "plain" and "resnet" are section 4.2's nets of 6n+2 layers. option: the shortcut option of
    a "resnet", A, B or C; "" of others. width: its filters over section 4.2's. sizes: the least and
    the greatest side of its images, in pixels. channels, classes: how many by default.
    """

    kind: str
    depth: int
    option: str = ""
    width: int = 1
    title: str = ""
    sizes: tuple[int, int] = (8, 63)
    channels: int = 3
    classes: int = CIFAR_CLASSES
    batch_norm: bool = True

    @property
    def in_study(self) -> bool:
        """True of the nets that section 4.2 trains: plain, or residual with option A."""
        return (self.kind == "plain" or self.option == "A") and self.width == 1


def imagenet_resnet(depth: int) -> Name:
    """A net of Table 1, which halves images five times."""
    return Name("imagenet-resnet", depth, sizes=(64, MOST), classes=IMAGENET_CLASSES)


def without_bn(kind: str, depth: int, title: str) -> Name:
    """A network for ImageNet from before BN."""
    return imagenet_resnet(depth)._replace(kind=kind, title=title, batch_norm=False)


# Networks whose names are not built of parts: each is an entry here and a function in `networks`.
OTHERS = {
    "resnet-18": Name("four-stage", 18),
    "resnet-34": Name("four-stage", 34),
    **{f"imagenet-resnet-{depth}": imagenet_resnet(depth) for depth in (18, 34, 50, 101, 152)},
    "vgg-19": Name("vgg-19", 19, title="VGG-19", sizes=(32, 63)),
    "simple-cnn": Name("simple-cnn", 5, title="SimpleCNN", sizes=(32, 32), batch_norm=False),
    "alexnet": without_bn("alexnet", 8, "AlexNet"),
    "vgg-16": without_bn("vgg-16", 16, "VGG-16"),
    "mnist-cnn": Name(
        "mnist-cnn", 4, title="MNIST CNN", sizes=(28, 28), channels=1, batch_norm=False
    ),
}


def parse(network: str) -> Name:
    """The kind, depth and shortcut option of a network.

    Raises UnknownNetworkError, a ValueError that names the nearest depths, for any other name.
    """
    if network in OTHERS:
        return OTHERS[network]
    match = re.fullmatch(
        r"(plain|resnet)-([1-9][0-9]{0,5})(?:x([2-9]|[1-9][0-9]{1,2}))?(?:-([bc]))?", network
    )
    if match is None or (match[1] == "plain" and match[4]):
        raise UnknownNetworkError(
            f"no network is called {network!r}{did_you_mean(network)}: names are plain-DEPTH, "
            "resnet-DEPTH as in resnet-20 (twice as wide: resnet-20x2; shortcut options B and C: "
            "resnet-20-b, resnet-20-c), "
            f"{', '.join(OTHERS)}"
        )
    kind, depth, width, option = match[1], int(match[2]), int(match[3] or 1), match[4] or ""
    nearest = nearest_depths(depth)
    if depth not in nearest:
        rest = f"x{width}" * (width > 1) + (option and f"-{option}")
        near = " or ".join(f"{kind}-{layers}{rest}" for layers in nearest)
        raise UnknownNetworkError(
            f"no network is called {network!r}: depths are 6n+2 (the nearest: {near}), "
            "or resnet-18 and resnet-34"
        )
    return Name(kind, depth, "" if kind == "plain" else (option or "a").upper(), width)


def require_image_size(network: str, size: int) -> None:
    """UserError unless this is the name of a network for images of this many pixels a side."""
    if fits(network, size):
        return
    least, most = parse(network).sizes
    sides = f"{least} to {most}" if least < most else f"{least}"
    sizes = f"{least} pixels a side or more" if most == MOST else f"{sides} pixels a side"
    others = ", ".join(other for other in ("resnet-20", *OTHERS) if fits(other, size))
    remedy = f": for such images there are {others}" if others else ""
    raise UserError(f"{network} is for images of {sizes}, not {size}{remedy}")


def fits(network: str, size: int) -> bool:
    """True if a network is for images of this many pixels a side."""
    least, most = parse(network).sizes
    return least <= size <= most


def did_you_mean(network: str) -> str:
    """A suggestion for a name that is nearly one, as an addition to a sentence; else ""."""
    digits = re.search(r"(?<![0-9])[1-9][0-9]{0,5}(?![0-9])", network)
    depth = digits[0] if digits else "20"
    near = get_close_matches(network, [f"resnet-{depth}", f"plain-{depth}", *OTHERS], cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""


def canonical(text: str) -> str:
    """A name as people type it, "ResNet20" or "VGG_19", in the form that `parse` knows."""
    word = text.strip().lower().replace("_", "-")
    joined = {name.replace("-", ""): name for name in OTHERS}
    if word in OTHERS or word.replace("-", "") in joined:
        return joined[word.replace("-", "")]
    return re.sub(r"(?<=[a-z])(?=\d)(?<!\dx)|(?<=\d)(?=[a-z])(?!x\d)", "-", word)


def study_depth(network: str) -> int | None:
    """The layers of one of section 4.2's own nets, plain-D or resnet-D; None of others."""
    try:
        name = parse(network)
    except UnknownNetworkError:
        return None
    return name.depth if name.in_study else None


def nearest_depths(layers: int) -> list[int]:
    """The depths 6n+2, n = 1, 2, ..., nearest to a number of layers: itself if it is one."""
    below = max(8, layers - (layers - 2) % 6)
    return [below] if layers <= below else [below, below + 6]


def title(network: str) -> str:
    """A network's name in prose: "plain-20", "ResNet-20", "ResNet-20 B", "VGG-19", "SimpleCNN"."""
    name = parse(network)
    if name.title:
        return name.title
    width = f"x{name.width}" if name.width > 1 else ""
    option = f" {name.option}" if name.option in ("B", "C") else ""
    return f"{TITLES[name.kind]}-{name.depth}{width}{option}"


def shortcut_networks(depth: int) -> dict[str, str]:
    """The residual nets of one depth by their shortcut option."""
    return {"A": f"resnet-{depth}", "B": f"resnet-{depth}-b", "C": f"resnet-{depth}-c"}


def shortcut_depths(networks: Iterable[str]) -> list[int]:
    """The depths at which some networks have shortcuts of option B or C."""
    parsed = {parse(network) for network in networks}
    return sorted({of.depth for of in parsed if of.option in ("B", "C") and of.width == 1})
