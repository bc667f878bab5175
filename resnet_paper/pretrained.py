"""Published networks with their weights and their normalisation: `load("resnet-20")`."""

from difflib import SequenceMatcher
from numbers import Integral
from os import PathLike
from pathlib import Path
from stat import S_ISDIR

import numpy as np
import torch
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.names import canonical, parse
from resnet_paper.networks.weights import load_weights
from resnet_paper.runs.recipe import PAPER, SETTINGS
from resnet_paper.runs.run import Run, begun_runs

# Of an installed package, which has them inside, else of a clone.
INSTALLED = Path(__file__).parent / "published"
IN_CLONE = Path(__file__).parents[1] / "experiments" / "runs"
PUBLISHED = INSTALLED if INSTALLED.is_dir() else IN_CLONE
MEAN_IMAGE = Path(__file__).parent / "training" / "cifar10_mean_image.npy"


class Classifier(nn.Module):
    """A network behind its normalisation: pixels in [0, 1], (N, 3, 32, 32) -> logits (N, 10).

    The mean image of CIFAR-10's 50,000 training images is subtracted, as in training.
    Raises ValueError for images of another shape, TypeError for pixels that are no floats.
    """

    mean: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(np.load(MEAN_IMAGE)))
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        # A trace is of one shape anyway, and would warn of the comparison.
        if not torch.jit.is_tracing() and pixels.shape[1:] != self.mean.shape:
            raise ValueError(f"pixels are of shape (N, 3, 32, 32), not {pixels.shape}")
        if not pixels.is_floating_point():
            raise TypeError(f"pixels must be floats in [0, 1], not {pixels.dtype}: divide by 255")
        return self.network(pixels - self.mean)


def load(
    network: str,
    *stray: object,
    seed: int | None = None,
    runs: str | PathLike[str] = PUBLISHED,
    settings: str = "paper",
) -> Classifier:
    """A network as it was at the end of a recorded run, in test mode.

    network and settings are taken in any spelling that the commands take, as "ResNet-20".
    settings: "paper" for the full-length runs, "overnight" for those of an eighth of the length.
    seed: of the run; None: of the published one, else the lowest that has weights.
    Raises UserError for anything else after the network that has no name, and for values of wrong
    types; if there are no weights of the network, naming those that there are, if they are damaged
    or were trained by another recipe than the settings' or with another normalisation;
    UnknownNetworkError if no network has this name.
    """
    require_arguments(network, stray, seed, runs, settings)
    network, settings, root = canonical(network), settings.lower(), directory_of(runs)
    directory_of(root / settings)  # is refused if no directory can have this name
    if parse(network).kind == "imagenet-resnet":
        raise UserError(f"{network} is for ImageNet's images: this loads networks for CIFAR-10's")
    chosen = first_seed(root, settings, network) if seed is None else int(seed)
    run = Run(root, settings, network, chosen)
    result = run.result() if run.finished else None
    content = result.weights() if result else None
    if result is None or content is None:
        raise UserError(none_recorded(run, seed))
    if settings in SETTINGS:
        run.require_recipe(result.content, SETTINGS[settings])
    recipe = result.record.recipe
    if (recipe.dataset, recipe.train_images, recipe.normalisation) != (
        (PAPER.dataset, PAPER.train_images, PAPER.normalisation)
    ):
        raise UserError(
            f"{run} was trained on images normalised in another way: load its weights by "
            "networks.weights.load_weights"
        )
    return Classifier(load_weights(network, content, str(run.weights_file))).eval()


def require_arguments(
    network: object, stray: tuple[object, ...], seed: object, runs: object, settings: object
) -> None:
    """UserError unless `load` can take these."""
    if stray:
        raise UserError(
            f"{', '.join(map(repr, stray))} has no name: what follows the network is given by "
            "name, as in load('resnet-20', settings='overnight')"
        )
    if not isinstance(network, str):
        raise UserError(f"the network is a name, as 'resnet-20', not {network!r}")
    if seed is not None and (not isinstance(seed, Integral) or isinstance(seed, bool)):
        raise UserError(f"seed is a whole number, as 0, or None, not {seed!r}")
    if not isinstance(runs, str | PathLike):
        raise UserError(f"runs is a directory of runs, as 'my-runs', not {runs!r}")
    if not isinstance(settings, str):
        raise UserError(f"settings is a name, as 'paper' or 'overnight', not {settings!r}")
    for value in (str(runs), settings):
        if "\0" in value:
            raise UserError(f"{value!r} contains a NUL character, which no path can")


def directory_of(runs: str | PathLike[str]) -> Path:
    """A directory of runs, which need not exist, "~" expanded; UserError for a file."""
    try:
        root = Path(runs).expanduser()
    except RuntimeError:
        raise UserError(f"{runs}: there is no such home directory") from None
    try:
        is_file = not S_ISDIR(root.stat().st_mode)
    except FileNotFoundError:
        return root
    except OSError as error:
        raise UserError(f"{root} cannot be read: {error.strerror}") from None
    if is_file:
        raise UserError(f"{root} is a file, not a directory of runs")
    return root


def none_recorded(run: Run, seed: int | None) -> str:
    """What to say where a run has no weights: those that there are, of this network if possible."""
    there = [
        Run(run.root, settings, network, int(number.removeprefix("seed-")))
        for settings, network, number in (
            path.parts[-4:-1] for path in sorted(run.root.glob("*/*/seed-*/weights.pt"))
        )
    ]
    alike = [each for each in there if each.network == run.network]
    found = ", ".join(f"{each} ({each.settings})" for each in alike or there) or "none"
    asked = run.network if seed is None else str(run)
    said = f"{run.root} has no weights of {asked} by the settings {run.settings!r}; it has: {found}"
    if not alike:
        return said
    nearest = max(
        alike,
        key=lambda each: (
            SequenceMatcher(None, each.settings, run.settings).ratio(),
            each.seed == run.seed,
        ),
    )
    changes = [f"seed={nearest.seed}"] * (seed is not None and nearest.seed != seed)
    changes += [f"settings={nearest.settings!r}"] * (nearest.settings != run.settings)
    return f"{said}: try {', '.join(changes)}" if changes else said


def first_seed(runs: Path, settings: str, network: str) -> int:
    """The seed of a network's published weights, else the lowest that has any; 0 without any.

    A damaged run comes last, so that `load` says so only where there is no other.
    """
    found = []
    for run in begun_runs(runs, settings, [network]):
        try:
            record = run.record()
        except UserError:
            found.append((2, run.seed))
            continue
        if record and "weights.pt" in record.sha256 and run.weights_file.exists():
            found.append((0 if record.published else 1, run.seed))
    return min(found, default=(0, 0))[1]
