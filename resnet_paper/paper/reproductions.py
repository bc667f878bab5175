"""Measurements of others: public reproductions, each by its own protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class Error:
    """A test error (%), or the mean and the standard deviation over some runs."""

    mean: float
    std: float | None = None
    runs: int = 1

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if self.std is None else f" ± {self.std:.2f}")


class Reproduction(NamedTuple):
    """Errors by network, of the last iteration or epoch as far as is said.

    who: the GitHub repository, of which the protocol names the file.
    """

    who: str
    protocol: str
    errors: dict[str, Error]


REPRODUCTIONS = (
    Reproduction(
        "akamaster/pytorch_resnet_cifar10",
        "50,000 images, 200 epochs, one run, from its README",
        {
            "resnet-20": Error(8.27),
            "resnet-32": Error(7.37),
            "resnet-44": Error(6.90),
            "resnet-56": Error(6.61),
            "resnet-110": Error(6.32),
            "resnet-1202": Error(6.18),
        },
    ),
    Reproduction(
        "gcr/torch-residual-networks",
        "200 epochs, Nesterov, from its README",
        {
            "resnet-20": Error(8.29),
            "resnet-32": Error(7.63),
            "resnet-44": Error(7.14),
            "resnet-56": Error(6.94),
            "resnet-110": Error(6.73),
        },
    ),
    Reproduction(
        "nabla0001/resnet",
        "45,000 images, 64,000 iterations, mean ± std of 5 runs, from its README",
        {
            "resnet-20": Error(8.51, 0.22, runs=5),
            "resnet-56": Error(7.40, 0.27, runs=5),
            "resnet-110": Error(7.14, 0.20, runs=5),
            "plain-20": Error(9.78, 0.13, runs=5),
            "plain-56": Error(12.95, 0.22, runs=5),
        },
    ),
    Reproduction(
        "AmroAbujabal/resnet-cifar-repro",
        "64,000 iterations, mean ± std of 3 runs, from its results.csv",
        {"resnet-20": Error(8.39, 0.31, runs=3), "resnet-56": Error(7.45, 0.69, runs=3)},
    ),
    Reproduction(
        "a-martyn/resnet",
        "50,000 images, 164 epochs, one run, the last of results/*.csv (those of results/a, "
        "whose plain-20 ends at 10.95, seem to be without BN's moving averages)",
        {
            "resnet-20": Error(8.04),
            "resnet-32": Error(7.79),
            "resnet-44": Error(7.51),
            "resnet-56": Error(7.46),
            "plain-20": Error(9.69),
            "plain-32": Error(10.04),
            "plain-44": Error(11.56),
            "plain-56": Error(13.07),
        },
    ),
    Reproduction(
        "cityhunter0831/pytorch_resnet_cifar10",
        "50,000 images, 64,000 iterations, one run, akamaster's code, from its "
        "results/figures/results_table.md",
        {
            "resnet-20": Error(8.01),
            "resnet-56": Error(7.43),
            "plain-20": Error(9.10),
            "plain-56": Error(14.17),
        },
    ),
    Reproduction(
        "hhhhuangggg/resnet-cifar10-reproducti",
        "50,000 images, 64,000 iterations, one run, from its analysis/results/cifar_summary.csv",
        {
            "resnet-20": Error(8.23),
            "resnet-56": Error(7.13),
            "plain-20": Error(9.35),
            "plain-56": Error(12.32),
        },
    ),
    Reproduction(
        "ChenBill900703/repro-resnet20-cifar10",
        "50,000 images, 64,000 iterations, one run, BN's averages as in Caffe, from its "
        "results/final_metrics.csv",
        {"resnet-20": Error(8.51), "plain-20": Error(9.57)},
    ),
    Reproduction(
        "surajit-13-sutradhar/resnet",
        "50,000 images, 64,000 iterations, one run, from its README, mixed float16 (plain-56 in "
        "float32, because it diverged in float16)",
        {
            "resnet-20": Error(8.24),
            "resnet-32": Error(7.36),
            "resnet-44": Error(7.38),
            "resnet-56": Error(8.30),
            "resnet-110": Error(6.96),
            "plain-20": Error(9.63),
            "plain-32": Error(9.92),
            "plain-44": Error(10.36),
            "plain-56": Error(14.22),
        },
    ),
    Reproduction(
        "ltzhenry/COMP3314_Project_ResNet_Reproduce",
        "50,000 images, 164 epochs, one run, from its logs; not its ResNets, which have "
        "projections",
        {"plain-20": Error(8.88), "plain-32": Error(9.55), "plain-56": Error(11.83)},
    ),
    Reproduction(
        "NihilDigit/hw_prcv",
        "50,000 images, 200 epochs, one run, mean of the test batches' accuracies, from its "
        "report/figures/resnet/repro-20251218-140032/summary.json",
        {
            "resnet-20": Error(8.74),
            "resnet-56": Error(6.57),
            "plain-20": Error(8.84),
            "plain-56": Error(12.77),
        },
    ),
)


class Sourced(Protocol):
    """Numbers and the sentence, in Markdown, that names where they come from."""

    @property
    def source(self) -> str: ...


class MeanResponse(NamedTuple):
    """A mean over the layers of Figure 7's standard deviations, or their range over networks."""

    text: str
    source: str


WEIGHTS = (
    "Others' weights: measured as ours, from public weights; whose they were is not on record. "
    "a-martyn/resnet publishes weights of all four networks, akamaster/pytorch_resnet_cifar10 of "
    "the ResNets."
)
MEAN_RESPONSES = {
    "plain-20": MeanResponse("0.84", WEIGHTS),
    "plain-56": MeanResponse("0.59", WEIGHTS),
    "resnet-20": MeanResponse("0.73 to 0.77", WEIGHTS),
    "resnet-56": MeanResponse("0.44 to 0.45", WEIGHTS),
}


class Compared(NamedTuple):
    """Test loss (nats) and accuracy (%) at the end of training, and the best accuracy."""

    loss: float | None
    accuracy: float
    best: float | None
    source: str


TISTORY = (
    "The others' numbers: [cat-b0.tistory.com/117](https://cat-b0.tistory.com/117), where each "
    "test accuracy equals the best validation accuracy."
)
UNKNOWN = (
    "The others' accuracies, whose source is not on record, were measured with augmentation still "
    "on."
)
COMPARISONS = {  # by settings and network
    "100-epochs": {
        "resnet-18": Compared(0.1937, 94.99, None, TISTORY),
        "vgg-19": Compared(0.3345, 92.87, None, TISTORY),
    },
    "10-epochs": {
        "simple-cnn": Compared(None, 57.0, 62.4, UNKNOWN),
        "resnet-18": Compared(None, 72.6, 76.7, UNKNOWN),
    },
}
