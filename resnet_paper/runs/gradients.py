"""Measured gradients and their files: gradients.csv, gradients_precision.csv."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from resnet_paper.errors import UserError
from resnet_paper.runs.files import write_csv

# What was measured: batch_norm is "true" or "false"; initialisation "he" or "pytorch"; state "new",
# the number of iterations trained, or "trained".
CASE = ("network", "batch_norm", "initialisation", "state", "seed")
LAYERS = (*CASE, "layer", "name", "output_std", "gradient_norm", "relative_weight_gradient")
COSINES = (*CASE, "precision", "cosine")


class Gradients(NamedTuple):
    """Signals of each layer (LAYERS), and how exact whole gradients are (COSINES)."""

    layers: pd.DataFrame
    cosines: pd.DataFrame

    def write(self, folder: Path) -> None:
        for table, path in zip(self, files(folder), strict=True):
            write_csv(path, table)


def files(folder: Path) -> tuple[Path, Path]:
    return folder / "gradients.csv", folder / "gradients_precision.csv"


def read(folder: Path) -> Gradients | None:
    """The gradients measured for a folder of figures; None where there are none.

    Raises UserError if a file is damaged.
    """
    layers, cosines = files(folder)
    if not layers.exists():
        return None
    return Gradients(read_columns(layers, LAYERS), read_columns(cosines, COSINES))


def read_columns(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV file that has these columns; UserError if it has not."""
    try:
        table = pd.read_csv(path, dtype={"batch_norm": str, "state": str})
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): make gradients writes it") from error
    if tuple(table.columns) != columns:
        raise UserError(f"{path} lacks columns of {', '.join(columns)}: make gradients writes it")
    return table
