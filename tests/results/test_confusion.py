"""Errors by class and the confusion matrix."""

import numpy as np
import pytest

from resnet_paper.results import confusion
from resnet_paper.runs.datasets import DATA_SETS

COUNTS = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])
CLASSES = ("cat", "dog", "ship")


def test_the_error_of_a_class_is_of_its_own_images() -> None:
    table = confusion.table("confusion", COUNTS, CLASSES)
    assert table.numbers["error"].tolist() == pytest.approx([20.0, 25.0, np.nan], nan_ok=True)
    assert table.text["error (%)"].tolist() == ["20.00", "25.00", "–"]
    assert table.numbers.loc[0, "dog"] == 2
    assert confusion.class_errors_text(COUNTS, CLASSES) == "dog 25.00, cat 20.00"


def test_the_picture_has_a_number_for_each_pair_of_classes_that_occurs() -> None:
    (axes,) = confusion.figure(COUNTS, CLASSES, "resnet-20").axes
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3", "8"]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CLASSES)
    many = np.ones((100, 100), dtype=int)
    assert not confusion.figure(many, tuple(map(str, range(100))), "").axes[0].texts


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_names_its_classes_or_numbers_them(name: str) -> None:
    classes = DATA_SETS[name].names_of_classes(10)
    assert len(set(classes)) == 10
