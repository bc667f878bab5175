"""The paper's claims about its CIFAR-10 nets, and on signals, as comparisons of numbers."""

from __future__ import annotations

from typing import NamedTuple

from resnet_paper.paper import facts


class LessThan(NamedTuple):
    """left < right: a quantity of one network, and that of another or a bound."""

    # "test error", "training error" (both %), "mean response", "diverged": how many runs did, or of
    # a new or a trained net "gradient factor": by which its norm grows from a layer to the one
    # before it, "least signal": the least std of a layer's output before BN
    quantity: str
    left: str | float
    right: str | float


class Claim(NamedTuple):
    """A sentence that can be checked: it holds if all its comparisons do.

    where: in the paper, or MEASURED_HERE.
    """

    words: str
    where: str
    comparisons: tuple[LessThan, ...]


MEASURED_HERE = "not in the paper"
# Of a weaker signal BN's epsilon of 1e-5, which it adds to the variance, is the greater part.
FAINTEST_SIGNAL = 0.0032

CLAIMS = (
    Claim(
        "plain-56 has a higher training error than plain-20",
        "Figure 6, left",
        (LessThan("training error", "plain-20", "plain-56"),),
    ),
    Claim(
        "plain-56 has a higher test error than plain-20",
        "Figure 6, left",
        (LessThan("test error", "plain-20", "plain-56"),),
    ),
    Claim(
        f"The error of plain-110 is above {facts.PLAIN_110_ABOVE:.0f}%",
        "Figure 6, caption",
        (
            LessThan("training error", facts.PLAIN_110_ABOVE, "plain-110"),
            LessThan("test error", facts.PLAIN_110_ABOVE, "plain-110"),
        ),
    ),
    Claim(
        "ResNet-56 has a lower test error than ResNet-20",
        "Table 6; Figure 6, middle",
        (LessThan("test error", "resnet-56", "resnet-20"),),
    ),
    Claim(
        "Deeper ResNets have lower test error",
        "Table 6; Figure 6, middle",
        tuple(
            LessThan("test error", f"resnet-{deeper}", f"resnet-{depth}")
            for depth, deeper in ((20, 32), (32, 44), (44, 56), (56, 110))
        ),
    ),
    Claim(
        "ResNets have lower test error than plain nets of the same depth",
        "Figure 6, left and middle",
        tuple(
            LessThan("test error", f"resnet-{depth}", f"plain-{depth}")
            for depth in (20, 32, 44, 56)
        ),
    ),
    Claim(
        "ResNet-110 converges after warming up: it fits the training images better than ResNet-20",
        "section 4.2; Figure 6, middle",
        (
            LessThan("training error", "resnet-110", "resnet-20"),
            LessThan("diverged", "resnet-110", 1),
        ),
    ),
    Claim(
        f"ResNet-1202 has a training error below {facts.RESNET_1202_BELOW}%",
        "section 4.2",
        (LessThan("training error", "resnet-1202", facts.RESNET_1202_BELOW),),
    ),
    Claim(
        "ResNet-1202 has a higher test error than ResNet-110",
        "section 4.2; Table 6",
        (LessThan("test error", "resnet-110", "resnet-1202"),),
    ),
    Claim(
        "ResNets have smaller responses than plain nets",
        "Figure 7",
        tuple(LessThan("mean response", f"resnet-{depth}", f"plain-{depth}") for depth in (20, 56)),
    ),
    Claim(
        "Deeper ResNets have smaller responses",
        "Figure 7",
        (
            LessThan("mean response", "resnet-56", "resnet-20"),
            LessThan("mean response", "resnet-110", "resnet-56"),
        ),
    ),
    *(
        Claim(
            f"Gradients of {state} plain nets do not vanish from the last layer to the first",
            "section 4.1",
            tuple(
                LessThan(f"gradient factor, {state}", 1.0, f"plain-{depth}")
                for depth in (20, 56, 110)
            ),
        )
        for state in ("new", "trained")
    ),
    *(
        Claim(
            f"Forward signals of {state} plain nets do not vanish",
            "section 4.1",
            tuple(
                LessThan(f"least signal, {state}", FAINTEST_SIGNAL, f"plain-{depth}")
                for depth in (20, 56, 110)
            ),
        )
        for state in ("new", "trained")
    ),
    Claim(
        "New plain nets' gradients grow towards the input faster than those of ResNets",
        MEASURED_HERE,
        tuple(
            LessThan("gradient factor, new", f"resnet-{depth}", f"plain-{depth}")
            for depth in (20, 56, 110)
        ),
    ),
)
