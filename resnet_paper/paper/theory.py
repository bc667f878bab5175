"""What theory says of gradients in new networks: their factor a layer, towards the input."""

from __future__ import annotations

import math

# Norms grow by this factor with ReLU and BN: Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz,
# "A mean field theory of batch normalization" (2019), arXiv 1902.08129.
WITH_BN = math.sqrt(math.pi / (math.pi - 1))
# Without BN a layer of n outputs for each input, weights of variance v, and ReLU, which passes half
# of the gradient, multiply norms by sqrt(n v / 2). He normal, fan-out: v = 2 / n. PyTorch's default
# for convolutions, uniform in ±1/sqrt(n): v = 1 / 3n.
WITHOUT_BN = {"he": 1.0, "pytorch": 1 / math.sqrt(6)}


def gradient_factor(kind: str, batch_norm: bool, initialisation: str) -> float:
    """The predicted factor a layer of a new network's gradient norms; NaN where none is known."""
    if kind != "plain":
        return math.nan
    if batch_norm:
        return WITH_BN if initialisation == "he" else math.nan
    return WITHOUT_BN[initialisation]
