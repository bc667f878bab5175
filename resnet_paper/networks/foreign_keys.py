"""State dicts whose keys are of another scheme: which of their tensors is which of a network's.

Two tensors of one shape are told apart by the words and numbers of their keys, never by their
order in the file: that of a BN's weight and bias, or of two layers, differs between schemes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import combinations

from torch import Tensor

Shape = tuple[int, ...]
Word = str | int

# By how a key ends: what its tensor is.
ROLES = {
    **dict.fromkeys(("weight", "kernel", "gamma", "scale"), "weight"),
    **dict.fromkeys(("bias", "beta"), "bias"),
    **dict.fromkeys(("running_mean", "moving_mean", "mean"), "running_mean"),
    **dict.fromkeys(("running_var", "moving_var", "var"), "running_var"),
    **dict.fromkeys(("running_variance", "moving_variance", "variance"), "running_var"),
}
# Words that say what a layer is, not which one: conv1 and bn1 are the first.
KINDS = {
    *("conv", "convs", "convolution", "convolutional"),
    *("bn", "bns", "norm", "norms", "batchnorm", "batch", "normalization", "normalisation"),
}
LETTERS = "abcdefgh"  # that count as numbers do; s, m and l have another order
FROM_THE_END = "minus|neg|negative|last|rev|reverse|reversed|end|back"  # before a number
SHORTCUTS = {"shortcut", "downsample", "skip", "projection", "proj"}


class UnmatchedError(ValueError):
    """The keys and shapes do not say which tensor is which."""


@dataclass(frozen=True)
class Layer:
    """The tensors of one layer, by what they are; place: the words of its name without KINDS."""

    name: str
    place: tuple[Word, ...]
    keys: dict[str, str]
    shapes: dict[str, Shape]

    @property
    def is_norm(self) -> bool:
        return "running_mean" in self.keys

    @property
    def number(self) -> int:
        """The number at the end of its place, -1 without any."""
        last = self.place[-1] if self.place else ""
        return last if isinstance(last, int) else -1


@dataclass(frozen=True)
class Unit:
    """A layer with weights, and the BN that follows it."""

    layer: Layer
    norm: Layer | None

    @property
    def tensors(self) -> dict[str, tuple[str, Shape]]:
        """Key and shape by what a tensor is."""
        layers = {"": self.layer, **({"BN's ": self.norm} if self.norm else {})}
        return {
            of + role: (key, layer.shapes[role])
            for of, layer in layers.items()
            for role, key in layer.keys.items()
        }

    @property
    def signature(self) -> frozenset[tuple[str, Shape]]:
        return frozenset((role, shape) for role, (_, shape) in self.tensors.items())

    @property
    def numbers_its_norm(self) -> bool:
        """True if its BN has a number of its own, as in a Sequential."""
        return self.norm is not None and self.norm.place != self.layer.place

    @property
    def is_shortcut(self) -> bool:
        return not SHORTCUTS.isdisjoint(self.layer.place)


def match(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """The key of a state dict for each of a network's own, in the order of the data.

    Raises UnmatchedError if the shapes are not the network's, or if the keys do not tell two
    tensors of one shape apart.
    """
    theirs, ours = units(state), units(own)
    require_same_signatures(theirs, ours)
    shortcuts = {unit.signature for unit in ours if unit.is_shortcut}
    mixed = shortcuts & {unit.signature for unit in ours if not unit.is_shortcut}

    def kind(unit: Unit) -> tuple[object, bool]:
        return unit.signature, unit.signature in mixed and unit.is_shortcut

    matched = {}
    for each in dict.fromkeys(map(kind, ours)):
        mine = [unit for unit in ours if kind(unit) == each]
        found = [unit for unit in theirs if kind(unit) == each]
        if len(found) != len(mine):
            raise UnmatchedError("its keys do not say which layers are shortcuts")
        for unit, other in zip(mine, in_order(found), strict=True):
            for role, (key, _) in unit.tensors.items():
                matched[key] = other.tensors[role][0]
    return matched


def units(state: Mapping[str, Tensor]) -> list[Unit]:
    """The layers with weights, each with its BN; UnmatchedError if a BN follows none."""
    found = layers(state)
    norms: dict[str, Layer] = {}
    for norm in filter(lambda layer: layer.is_norm, found):
        before = normalised(norm, found)
        if before is None or before.name in norms:
            raise UnmatchedError(f"its keys do not say which layer {norm.name} follows")
        norms[before.name] = norm
    return [Unit(layer, norms.get(layer.name)) for layer in found if not layer.is_norm]


def layers(state: Mapping[str, Tensor]) -> list[Layer]:
    """The layers that the keys name; UnmatchedError if one does not say what its tensor is."""
    found: dict[str, Layer] = {}
    for key, value in state.items():
        name, role = parse(key)
        place = tuple(word for word in words(name) if word not in KINDS)
        layer = found.setdefault(name, Layer(name, place, {}, {}))
        if role in layer.keys:
            raise UnmatchedError(f"{layer.keys[role]} and {key} are both the {role} of {name}")
        layer.keys[role], layer.shapes[role] = key, tuple(value.shape)
    return list(found.values())


def parse(key: str) -> tuple[str, str]:
    """The name of a key's layer, and what the tensor is: "bn1.gamma" is ("bn1", "weight")."""
    whole = key.removesuffix(":0")
    for ending in sorted(ROLES, key=len, reverse=True):
        if re.search(rf"(^|[._/]){ending}$", whole, re.IGNORECASE):
            return whole[: -len(ending)].rstrip("._/"), ROLES[ending]
    raise UnmatchedError(
        f"its keys do not say which tensor is which: {key} ends in no such word as weight, bias, "
        "running_mean or running_var"
    )


def words(name: str) -> list[Word]:
    """Words and numbers of a name: "layer1.0.conv2" is layer, 1, 0, conv, 2.

    UnmatchedError for "layer1.-3": a "-" separates words and numbers, as in "block-3"; for numbers
    from the end, as in "layer1.last3"; and for what is not ASCII, other signs of minus among it.
    """
    if re.search(r"(^|[^a-z0-9])-\d", name.lower()):
        raise UnmatchedError(f"its keys number layers below 0, as {name}")
    if re.search(rf"(^|[^a-z])({FROM_THE_END})[^a-z0-9]*\d", name.lower()):
        raise UnmatchedError(f"its keys may number layers from the end, as {name}")
    if not name.isascii():
        raise UnmatchedError(f"its keys are not in ASCII, as {name}")
    plain = re.sub(r"(conv|norm)\dd", r"\1", name.lower())
    return [int(word) if word.isdigit() else word for word in re.findall(r"[a-z]+|\d+", plain)]


def normalised(norm: Layer, found: list[Layer]) -> Layer | None:
    """The layer that a BN follows: of its own place (conv1, bn1), else of the number before it."""
    same = [each for each in found if each.place == norm.place and not each.is_norm]
    if same:
        return same[0] if len(same) == 1 else None
    before = [
        each
        for each in found
        if each.place[:-1] == norm.place[:-1] and -1 < each.number < norm.number
    ]
    nearest = max((each.number for each in before), default=-1)
    last = [each for each in before if each.number == nearest]
    return last[0] if len(last) == 1 and not last[0].is_norm else None


def in_order(found: list[Unit]) -> list[Unit]:
    """Units of the same shapes by the numbers in their keys; UnmatchedError if others differ."""

    def compare(one: Unit, other: Unit) -> int:
        for a, b in zip(one.layer.place, other.layer.place, strict=False):
            if a == b:
                continue
            if isinstance(a, int) and isinstance(b, int):
                return a - b
            if {a, b} <= set(LETTERS):
                return LETTERS.index(str(a)) - LETTERS.index(str(b))
            break
        raise unordered(one, other)

    ordered = sorted(found, key=cmp_to_key(compare))
    require_no_lists(ordered)
    return ordered


def require_no_lists(ordered: Sequence[Unit]) -> None:
    """UnmatchedError if layers may be those of lists beside each other: conv1s.0, conv2s.0, c1.0.

    They may be if all numbers are followed by the same ones, since blocks may be numbered by
    either. Those of conv4_2, conv4_3, conv5_1, ..., stages of different lengths, are not; nor those
    of a word, as in 0.conv1, or of a Sequential, whose BNs have numbers of their own, as in 0.3.
    """
    lists: dict[tuple[Word, ...], dict[Word, dict[tuple[Word, ...], Unit]]] = {}
    for unit in ordered:
        of = words(unit.layer.name)
        for i in range(1, len(of) - 1):
            if of[i - 1] in KINDS or (isinstance(of[i + 1], int) and not unit.numbers_its_norm):
                beside = lists.setdefault(tuple(of[:i]), {})
                beside.setdefault(of[i], {})[tuple(of[i + 1 :])] = unit
    for beside in lists.values():
        for one, other in combinations(beside.values(), 2):
            if len(one) > 1 and one.keys() == other.keys():
                raise unordered([*one.values()][1], next(iter(other.values())))


def unordered(one: Unit, other: Unit) -> UnmatchedError:
    names = sorted((one.layer.name, other.layer.name))
    return UnmatchedError(
        f"its keys do not say which comes first, {' or '.join(names)}, which have one shape"
    )


def require_same_signatures(theirs: list[Unit], ours: list[Unit]) -> None:
    """UnmatchedError, naming the first difference, unless all layers have the same shapes."""
    foreign = surplus(theirs, ours)
    missing = surplus(ours, theirs)
    if not foreign and not missing:
        return
    if len(foreign) != len(missing):
        said = [
            f"{how} layers: {len(found)}, as {found[0].layer.name}"
            for how, found in (("missing", missing), ("unexpected", foreign))
            if found
        ]
        raise UnmatchedError("; ".join(said))
    found, expected = foreign[0].tensors, missing[0].tensors
    for role, (key, shape) in found.items():
        if role not in expected:
            raise UnmatchedError(f"unexpected: {key}")
        if shape != expected[role][1]:
            raise UnmatchedError(f"{key} is {shape}, not {expected[role][1]}")
    lacking = next(role for role in expected if role not in found)
    raise UnmatchedError(f"{foreign[0].layer.name} has no {lacking}")


def surplus(some: list[Unit], others: Iterable[Unit]) -> list[Unit]:
    """The units beyond those of the same shapes among others."""
    left = Counter(unit.signature for unit in others)
    found = []
    for unit in some:
        left[unit.signature] -= 1
        if left[unit.signature] < 0:
            found.append(unit)
    return found
