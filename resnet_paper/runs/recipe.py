"""The training recipe of section 4.2, "CIFAR-10 and Analysis", and the settings derived from it."""

from __future__ import annotations

import math
import operator

import msgspec
from msgspec.structs import astuple, fields, replace

from resnet_paper import names
from resnet_paper.runs.datasets import DATA_SETS

Channels = tuple[float, ...]  # a number for each channel
PER_PIXEL_MEAN = "per-pixel mean"
# By the name of another normalisation: means and standard deviations of pixels in [0, 1].
CHANNELS: dict[str, tuple[Channels, Channels]] = {
    "channels": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),  # of CIFAR-10
    "mnist channel": ((0.1307,), (0.3081,)),
    "imagenet channels": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}

# Files keep the names that these fields had when the first runs were published.
FILE_NAMES = {"validation_images": "held_out", "unaugmented_images": "clean_images"}
# The least that a number of images, iterations, ... can be.
LEAST = {
    **dict.fromkeys(("image_size", "channels", "classes", "train_images", "test_images"), 1),
    **dict.fromkeys(("batch_size", "iterations", "measure_every", "measure_every_in_warmup"), 1),
    **dict.fromkeys(("unaugmented_images", "statistics_batches"), 1),
    **dict.fromkeys(("validation_images", "padding", "warmup_depth"), 0),
}
# The types of fields, in words.
TYPES = {
    int: "a whole number",
    float: "a number",
    float | None: "a number or None",
    bool: "True or False",
    str: "a string",
    tuple[int, ...]: "a tuple of whole numbers",
}

SCHEDULES = ("step", "cosine")


class Recipe(msgspec.Struct, frozen=True, rename=FILE_NAMES):
    """How a network is trained. The defaults are the paper's; what it leaves open is marked so.

    Raises ValueError if no training can follow it, as with more images than the data set has.
    """

    dataset: str = "cifar10"  # or another of DATA_SETS
    image_size: int = 32  # pixels, a side
    channels: int = 3
    classes: int = 10
    train_images: int = 50_000
    test_images: int = 10_000
    validation_images: int = 0  # further training images, held out of training

    batch_size: int = 128
    iterations: int = 64_000
    learning_rate: float = 0.1
    learning_rate_without_bn: float | None = None  # of networks without BN; None: the same
    schedule: str = "step"  # of the learning rate: at milestones, or "cosine", to 0 at the end
    milestones: tuple[int, ...] = (32_000, 48_000)  # where the learning rate is divided by 10
    momentum: float = 0.9
    weight_decay: float = 1e-4  # on all parameters, BN's and the bias among them (open)
    padding: int = 4  # zeros around an image before the random crop
    flips: bool = True  # at random, left to right
    # what is subtracted of pixels in [0, 1], and what they are divided by: "per-pixel mean" is the
    # mean image of the training images and 1, others are those of CHANNELS
    normalisation: str = PER_PIXEL_MEAN

    warmup_depth: int = 110  # networks at least this deep warm up ...
    warmup_learning_rate: float = 0.01  # ... at this rate ...
    warmup_error: float = 80.0  # ... until the training error (%) is below this

    measure_every: int = 1_000  # iterations, as in Figure 6
    measure_every_in_warmup: int = 100  # (open)
    unaugmented_images: int = 10_000  # training images tested without augmentation (open)
    statistics_batches: int = 64  # augmented batches that BN statistics are recomputed over (open)

    def __post_init__(self) -> None:
        require_types(self)
        for field, least in LEAST.items():
            if getattr(self, field) < least:
                raise ValueError(f"{field} is {getattr(self, field)}, not at least {least}")
        for field in ("learning_rate", "learning_rate_without_bn", "warmup_learning_rate"):
            rate = getattr(self, field)
            if rate is not None and not 0 < rate < math.inf:
                raise ValueError(f"{field} is {rate}, not above 0 and finite")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}, not from 0 to below 1")
        for field in ("weight_decay", "warmup_error"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field} is {getattr(self, field)}, not at least 0 and finite")
        if not all(map(operator.lt, (0, *self.milestones), self.milestones)):
            raise ValueError(f"milestones are {self.milestones}, which do not rise from above 0")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule is {self.schedule!r}, not one of {', '.join(SCHEDULES)}")
        if self.schedule == "cosine" and self.milestones:
            raise ValueError(f"milestones are {self.milestones}: a cosine schedule has none")
        if self.unaugmented_images > self.train_images:
            raise ValueError(
                f"unaugmented_images is {self.unaugmented_images:,}, more than the "
                f"{self.train_images:,} training images that they are of"
            )
        if self.normalisation not in (PER_PIXEL_MEAN, *CHANNELS):
            raise ValueError(
                f"normalisation is {self.normalisation!r}, not one of "
                f"{', '.join((PER_PIXEL_MEAN, *CHANNELS))}"
            )
        require_images(self)

    def for_network(self, network: str) -> Recipe:
        """The recipe by which one network is trained, with its learning rate."""
        without_bn, rate = self.learning_rate_without_bn, self.learning_rate
        if without_bn is not None and not names.parse(network).batch_norm:
            rate = without_bn
        return replace(self, learning_rate=rate, learning_rate_without_bn=None)

    def next_measurement(self, iteration: int, warming_up: bool) -> int:
        """The first iteration after this one at which the network is measured."""
        every = self.measure_every_in_warmup if warming_up else self.measure_every
        return min((iteration // every + 1) * every, self.iterations)


def require_types(recipe: Recipe) -> None:
    """ValueError unless each field has a value of its type."""
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        try:
            fits = msgspec.convert(value, field.type) == value
        except msgspec.ValidationError:
            fits = False
        if not fits:
            kind = TYPES.get(field.type, field.type)
            raise ValueError(f"{field.name} is {value!r}, not {kind}")


def require_images(recipe: Recipe) -> None:
    """ValueError unless a recipe's data set is known and has such images, and as many."""
    data_set = DATA_SETS.get(recipe.dataset)
    if data_set is None:
        raise ValueError(f"dataset is {recipe.dataset!r}, not one of {', '.join(DATA_SETS)}")
    for kind, needed, count in (
        ("training and validation", recipe.train_images + recipe.validation_images, data_set.train),
        ("test", recipe.test_images, data_set.test),
    ):
        if count is not None and needed > count:
            raise ValueError(f"{data_set.title} has {count:,} {kind} images, not {needed:,}")
    for field in ("channels", "classes"):
        has, given = getattr(data_set, field), getattr(recipe, field)
        if given != has:
            raise ValueError(f"{data_set.title} has {has} {field}, not {given}")
    means, _ = CHANNELS.get(recipe.normalisation, ((0.0,) * recipe.channels, ()))
    if len(means) != recipe.channels:
        raise ValueError(
            f"normalisation {recipe.normalisation!r} is for {len(means)} channels, and "
            f"{data_set.title} has {recipe.channels}"
        )


def learning_rate(recipe: Recipe, iteration: int, warming_up: bool = False) -> float:
    """The rate of the update that makes iteration into iteration + 1.

    By steps learning_rate / 10^(milestones reached), by a cosine learning_rate
    (1 + cos(π iteration / iterations)) / 2; while warming up, at most warmup_learning_rate. Warming
    up moves neither.
    """
    rate = recipe.learning_rate / 10 ** sum(iteration >= m for m in recipe.milestones)
    if recipe.schedule == "cosine":
        rate *= (1 + math.cos(math.pi * iteration / recipe.iterations)) / 2
    return min(rate, recipe.warmup_learning_rate) if warming_up else rate


PAPER = Recipe()


# What does not keep a recipe's curves from being compared with the paper's: which of the training
# images are held out, and how often is measured.
COMPARABLE = (
    *("train_images", "validation_images", "measure_every", "measure_every_in_warmup"),
    *("unaugmented_images", "statistics_batches"),
)


def follows_paper(recipe: Recipe) -> bool:
    """True if networks are trained as the paper's, so that their curves can be compared."""
    fields = [field for field in Recipe.__struct_fields__ if field not in COMPARABLE]
    return all(getattr(recipe, field) == getattr(PAPER, field) for field in fields)


def on_cifar10(recipe: Recipe) -> bool:
    """True on the paper's data set, or on synthetic images in its place."""
    return DATA_SETS[recipe.dataset].title == DATA_SETS[PAPER.dataset].title


def differences(recipe: Recipe) -> str:
    """Each field that differs from the paper's: "iterations 8,000, milestones 4,000 and 6,000"."""
    pairs = zip(Recipe.__struct_fields__, astuple(recipe), astuple(PAPER), strict=True)
    return ", ".join(
        f"{field.replace('_', ' ')} {in_words(value)}"
        for field, value, papers in pairs
        if value != papers
    )


def in_words(value: object) -> str:
    """A field's value: "8,000", "4,000 and 6,000", "none"."""
    if isinstance(value, tuple):
        return " and ".join(map(in_words, value)) or "none"
    if isinstance(value, bool) or value is None:
        return "yes" if value else "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def on(name: str, recipe: Recipe = PAPER) -> Recipe:
    """A recipe on another data set, with all of its training and test images."""
    data_set = DATA_SETS[name]
    return replace(
        recipe,
        dataset=name,
        image_size=data_set.image_size,
        channels=data_set.channels,
        classes=data_set.classes,
        normalisation=data_set.normalisation,
        train_images=data_set.train or recipe.train_images,
        test_images=data_set.test or recipe.test_images,
        unaugmented_images=min(recipe.unaugmented_images, data_set.train or recipe.train_images),
    )


def iterations(
    epochs: float, images: int = PAPER.train_images, batch_size: int = PAPER.batch_size
) -> int:
    """The iterations after which all images have been seen that many times.

    ceil(epochs * images / batch_size): 10 epochs of the paper's are 3,907, 100 are 39,063.
    """
    return math.ceil(epochs * images / batch_size)


TINY = replace(
    PAPER,
    train_images=2_000,
    test_images=250,
    batch_size=32,
    iterations=96,
    learning_rate=0.02,
    milestones=(48, 72),
    warmup_error=88.0,
    measure_every=16,
    measure_every_in_warmup=4,
    unaugmented_images=250,
    statistics_batches=2,
)

# The paper's recipe at an eighth of its length: the whole study in a night on two CPU cores.
OVERNIGHT = replace(PAPER, iterations=8_000, milestones=(4_000, 6_000), measure_every=400)

# What the comparison with VGG-19 is usually trained by, its epochs turned into iterations.
EPOCHS_100 = replace(
    PAPER,
    iterations=iterations(100),
    milestones=(iterations(50), iterations(75)),
    weight_decay=5e-4,
    normalisation="channels",
    measure_every=iterations(1),
)

# Section 3.4's recipe for ImageNet, but for its length and batches: 10 epochs of 64 images.
IMAGENETTE = replace(
    on("imagenette"),
    learning_rate_without_bn=0.01,  # as AlexNet and VGG were trained
    batch_size=64,
    iterations=iterations(10, 9_469, 64),
    milestones=(iterations(5, 9_469, 64), iterations(7.5, 9_469, 64)),
    padding=20,  # an eighth of the image, as in section 4.2
    warmup_depth=1_000,  # none warms up
    measure_every=iterations(1, 9_469, 64),
    unaugmented_images=1_000,
    statistics_batches=16,
)

# Five epochs, without augmentation: flipped digits are none.
MNIST = replace(
    on("mnist"),
    iterations=iterations(5, 60_000),
    milestones=(iterations(4, 60_000),),
    learning_rate=0.02,
    padding=0,
    flips=False,
    measure_every=iterations(1, 60_000),
)

SETTINGS = {
    "paper": PAPER,
    "paper-45k": replace(PAPER, train_images=45_000, validation_images=5_000),
    "overnight": OVERNIGHT,
    "cifar100": on("cifar100"),
    "mnist": MNIST,
    "cosine": replace(PAPER, schedule="cosine", milestones=()),
    "tiny": TINY,
    "demo": replace(TINY, dataset="synthetic"),
    "100-epochs": EPOCHS_100,
    "10-epochs": replace(EPOCHS_100, iterations=iterations(10), milestones=()),
    "tiny-epochs": replace(
        TINY,
        iterations=48,
        milestones=(24, 36),
        weight_decay=5e-4,
        normalisation="channels",
        measure_every=12,
    ),
    "imagenette": IMAGENETTE,
    "tiny-imagenette": replace(
        IMAGENETTE,
        image_size=64,
        train_images=40,
        test_images=20,
        batch_size=8,
        iterations=12,
        learning_rate=0.002,
        learning_rate_without_bn=None,
        milestones=(6, 9),
        padding=8,
        measure_every=4,
        unaugmented_images=20,
        statistics_batches=2,
    ),
}

IMAGENET_RESNETS = ("imagenet-resnet-18", "imagenet-resnet-34", "imagenet-resnet-50")
# The networks that `make compare` sets beside each other, by settings.
COMPARED = {
    "100-epochs": ("resnet-18", "vgg-19"),
    "10-epochs": ("simple-cnn", "resnet-18"),
    "tiny-epochs": ("simple-cnn", "resnet-18", "vgg-19"),
    "imagenette": IMAGENET_RESNETS,
    "tiny-imagenette": IMAGENET_RESNETS,
}
