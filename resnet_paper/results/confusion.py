"""Which classes a network takes for which: errors by class, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from resnet_paper.results.formats import format_number
from resnet_paper.results.style import PALETTE, mix, style
from resnet_paper.results.tables import Table

MOST_NUMBERED = 20  # classes whose errors are printed, and whose cells have numbers


def class_errors(counts: np.ndarray) -> np.ndarray:
    """The error (%) on the images of each class; NaN of a class without images.

    counts: (classes, classes) images by their class (row) and the predicted one (column).
    """
    images = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return 100 * (1 - counts.diagonal() / images)


def class_errors_text(counts: np.ndarray, classes: Sequence[str]) -> str:
    """ "cat 15.80, dog 11.20": errors (%), the greatest first, of at most MOST_NUMBERED classes."""
    errors = pd.Series(class_errors(counts), list(classes)).dropna()
    ordered = errors.sort_values(ascending=False, kind="stable")
    shown = [f"{name} {error:.2f}" for name, error in ordered[:MOST_NUMBERED].items()]
    return ", ".join(shown + ["..."] * (len(ordered) > len(shown)))


def table(name: str, counts: np.ndarray, classes: Sequence[str], note: str = "") -> Table:
    """A row a class: its images by the class that was predicted, and its error (%)."""
    numbers = pd.DataFrame(counts, columns=list(classes))
    numbers.insert(0, "class", list(classes))
    numbers["error"] = class_errors(counts).round(4)
    text = numbers.astype(str).rename(columns={"error": "error (%)"})
    text["error (%)"] = [format_number(error, "{:.2f}") for error in numbers["error"]]
    meaning = "Test images of the class (row) by the class predicted (column)."
    return Table(name, numbers, text, f"{meaning} {note}".strip())


def figure(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """The confusion matrix; the colours are those of the mistakes, the diagonal is grey."""
    size = len(classes)
    mistakes = np.where(np.eye(size, dtype=bool), 0, counts)
    shares = mistakes / max(mistakes.max(), 1)
    with style():
        picture = Figure(figsize=(6.4, 5.6), layout="constrained")
        axes = picture.subplots()
        colours = np.array([[mix("white", PALETTE[0], share) for share in row] for row in shares])
        colours[np.arange(size), np.arange(size)] = mix("white", "black", 0.12)
        axes.imshow(colours)
        axes.set(xlabel="predicted class", ylabel="class", title=title)
        axes.tick_params(length=0)
        if size <= MOST_NUMBERED:
            axes.set_xticks(range(size), classes, rotation=45, ha="right")
            axes.set_yticks(range(size), classes)
            for row, column in zip(*counts.nonzero(), strict=True):
                shade = "white" if shares[row, column] > 0.6 else "black"
                count = counts[row, column]
                axes.text(column, row, str(count), ha="center", va="center", size=8, color=shade)
    return picture
