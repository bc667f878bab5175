"""What others measured: public reproductions, each by its own protocol. Facts only."""

from __future__ import annotations

from typing import NamedTuple


class Reproduction(NamedTuple):
    """Test errors (%) by network, of the last iteration or epoch as far as is said."""

    who: str
    protocol: str
    errors: dict[str, str]


REPRODUCTIONS = (
    Reproduction(
        "akamaster/pytorch_resnet_cifar10",
        "50,000 images, 200 epochs, one run",
        {
            "resnet-20": "8.27",
            "resnet-32": "7.37",
            "resnet-44": "6.90",
            "resnet-56": "6.61",
            "resnet-110": "6.32",
            "resnet-1202": "6.18",
        },
    ),
    Reproduction(
        "gcr/torch-residual-networks",
        "200 epochs, Nesterov",
        {
            "resnet-20": "8.29",
            "resnet-32": "7.63",
            "resnet-44": "7.14",
            "resnet-56": "6.94",
            "resnet-110": "6.73",
        },
    ),
    Reproduction(
        "nabla0001/resnet",
        "45,000 images, 64,000 iterations, mean ± std of 5 runs",
        {
            "resnet-20": "8.51 ± 0.22",
            "resnet-56": "7.40 ± 0.27",
            "resnet-110": "7.14 ± 0.20",
            "plain-20": "9.78 ± 0.13",
            "plain-56": "12.95 ± 0.22",
        },
    ),
    Reproduction(
        "AmroAbujabal/resnet-cifar-repro",
        "64,000 iterations, mean ± std of 3 runs",
        {"resnet-20": "8.39 ± 0.31", "resnet-56": "7.45 ± 0.69"},
    ),
    Reproduction(
        "a-martyn/resnet",
        "50,000 images, 164 epochs, one run, the last of results/*.csv (those of results/a, "
        "whose plain-20 ends at 10.95, seem to be without BN's moving averages)",
        {
            "resnet-20": "8.04",
            "resnet-32": "7.79",
            "resnet-44": "7.51",
            "resnet-56": "7.46",
            "plain-20": "9.69",
            "plain-32": "10.04",
            "plain-44": "11.56",
            "plain-56": "13.07",
        },
    ),
    Reproduction(
        "cityhunter0831/pytorch_resnet_cifar10",
        "50,000 images, 64,000 iterations, one run, akamaster's code",
        {"resnet-20": "8.01", "resnet-56": "7.43", "plain-20": "9.10", "plain-56": "14.17"},
    ),
    Reproduction(
        "hhhhuangggg/resnet-cifar10-reproducti",
        "50,000 images, 64,000 iterations, one run",
        {"resnet-20": "8.23", "resnet-56": "7.13", "plain-20": "9.35", "plain-56": "12.32"},
    ),
    Reproduction(
        "ChenBill900703/repro-resnet20-cifar10",
        "50,000 images, 64,000 iterations, one run, BN's averages as in Caffe",
        {"resnet-20": "8.51", "plain-20": "9.57"},
    ),
    Reproduction(
        "surajit-13-sutradhar/resnet",
        "50,000 images, 64,000 iterations, one run, from its README, mixed float16 (plain-56, "
        "which diverged so, in float32)",
        {
            "resnet-20": "8.24",
            "resnet-32": "7.36",
            "resnet-44": "7.38",
            "resnet-56": "8.30",
            "resnet-110": "6.96",
            "plain-20": "9.63",
            "plain-32": "9.92",
            "plain-44": "10.36",
            "plain-56": "14.22",
        },
    ),
    Reproduction(
        "ltzhenry/COMP3314_Project_ResNet_Reproduce",
        "50,000 images, 164 epochs, one run, from its logs; not its ResNets, which have "
        "projections",
        {"plain-20": "8.88", "plain-32": "9.55", "plain-56": "11.83"},
    ),
    Reproduction(
        "NihilDigit/hw_prcv",
        "50,000 images, 200 epochs, one run, mean of the test batches' accuracies",
        {"resnet-20": "8.74", "resnet-56": "6.57", "plain-20": "8.84", "plain-56": "12.77"},
    ),
)

# Figure 7: mean over the layers, measured as here from others' public weights.
MEAN_RESPONSES = {
    "plain-20": "0.84",
    "plain-56": "0.59",
    "resnet-20": "0.73 to 0.77",
    "resnet-56": "0.44 to 0.45",
}


class Compared(NamedTuple):
    """Test loss (nats) and accuracy (%) at the end of training, and the best accuracy."""

    loss: float | None
    accuracy: float
    best: float | None


# By settings and network, and what is to be said of them.
COMPARISON_NOTES = {"10-epochs": "The others' accuracies were measured with augmentation still on."}
COMPARISONS = {
    "100-epochs": {
        "resnet-18": Compared(0.1937, 94.99, None),
        "vgg-19": Compared(0.3345, 92.87, None),
    },
    "10-epochs": {
        "simple-cnn": Compared(None, 57.0, 62.4),
        "resnet-18": Compared(None, 72.6, 76.7),
    },
}
