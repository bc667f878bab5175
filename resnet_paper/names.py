"""The networks' names: "plain-20", "resnet-20-b", "resnet-18", "imagenet-resnet-50", "vgg-19"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from resnet_paper.errors import UnknownNetworkError, UserError

# The 4-stage nets for 32x32 images, and Table 1's for ImageNet.
FOUR_STAGE_DEPTHS = (18, 34)
IMAGENET_DEPTHS = (18, 34, 50, 101, 152)
CIFAR10_SIZE, SMALLEST_FOR_IMAGENET = 32, 64  # pixels, a side

TITLES = {
    "plain": "plain",
    "resnet": "ResNet",
    "four-stage": "ResNet",
    "imagenet-resnet": "ImageNet ResNet",
    "vgg": "VGG",
    "simple-cnn": "SimpleCNN",
}


class Name(NamedTuple):
    """The parts of a network's name.

    kind: one of TITLES; "plain" and "resnet" are section 4.2's nets of 6n+2 layers.
    option: the shortcut option of a "resnet", A, B or C; "" of others.
    """

    kind: str
    depth: int
    option: str = ""

    @property
    def in_study(self) -> bool:
        """True of the nets that section 4.2 trains: plain, or residual with option A."""
        return self.kind == "plain" or self.option == "A"


OTHERS = {
    **{f"resnet-{depth}": Name("four-stage", depth) for depth in FOUR_STAGE_DEPTHS},
    **{f"imagenet-resnet-{depth}": Name("imagenet-resnet", depth) for depth in IMAGENET_DEPTHS},
    "vgg-19": Name("vgg", 19),
    "simple-cnn": Name("simple-cnn", 5),
}


def parse(network: str) -> Name:
    """The kind, depth and shortcut option of a network.

    Raises UnknownNetworkError, a ValueError that names the nearest depths, for any other name.
    """
    if network in OTHERS:
        return OTHERS[network]
    match = re.fullmatch(r"(plain|resnet)-([1-9]\d*)(?:-([bc]))?", network)
    if match is None or (match[1] == "plain" and match[3]):
        raise UnknownNetworkError(
            f"no network is called {network!r}{did_you_mean(network)}: names are plain-DEPTH, "
            "resnet-DEPTH as in resnet-20 (shortcut options B and C: resnet-20-b, resnet-20-c), "
            f"{', '.join(OTHERS)}"
        )
    kind, depth, option = match[1], int(match[2]), match[3] or ""
    nearest = nearest_depths(depth)
    if depth not in nearest:
        near = " or ".join(f"{kind}-{layers}{option and f'-{option}'}" for layers in nearest)
        raise UnknownNetworkError(
            f"no network is called {network!r}: depths are 6n+2 (the nearest: {near}), "
            "or resnet-18 and resnet-34"
        )
    return Name(kind, depth, "" if kind == "plain" else (option or "a").upper())


def require_image_size(network: str, size: int) -> None:
    """UserError unless this is the name of a network for images of this many pixels a side.

    ImageNet nets, which halve them five times, are for SMALLEST_FOR_IMAGENET and more, others for
    CIFAR-10's.
    """
    if parse(network).kind == "imagenet-resnet":
        fits = size >= SMALLEST_FOR_IMAGENET
        sizes = f"{SMALLEST_FOR_IMAGENET} pixels a side or more"
        remedy = "SETTINGS=imagenette has such images"
    else:
        fits = size == CIFAR10_SIZE
        sizes = f"{CIFAR10_SIZE} pixels a side"
        remedy = "ImageNet networks, as imagenet-resnet-34, are for larger ones"
    if not fits:
        raise UserError(f"{network} is for images of {sizes}, not {size}: {remedy}")


def did_you_mean(network: str) -> str:
    """A suggestion for a name that is nearly one, as an addition to a sentence; else ""."""
    digits = re.search(r"\d+", network)
    depth = digits[0] if digits else "20"
    near = get_close_matches(network, [f"resnet-{depth}", f"plain-{depth}", *OTHERS], cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""


def canonical(text: str) -> str:
    """A name as people type it, "ResNet20" or "VGG_19", in the form that `parse` knows."""
    word = re.sub(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])", "-", text.strip().lower().replace("_", "-"))
    return "simple-cnn" if word == "simplecnn" else word


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
    if name.kind == "simple-cnn":
        return TITLES[name.kind]
    option = f" {name.option}" if name.option in ("B", "C") else ""
    return f"{TITLES[name.kind]}-{name.depth}{option}"


def shortcut_networks(depth: int) -> dict[str, str]:
    """The residual nets of one depth by their shortcut option."""
    return {"A": f"resnet-{depth}", "B": f"resnet-{depth}-b", "C": f"resnet-{depth}-c"}


def shortcut_depths(networks: Iterable[str]) -> list[int]:
    """The depths at which some networks have shortcuts of option B or C."""
    return sorted({name.depth for name in map(parse, networks) if name.option in ("B", "C")})
