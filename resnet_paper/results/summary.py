"""The numbers of some results as one table."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from resnet_paper.runs.run import Result

SUMMARY = ("test_error", "test_error_precise", "train_error_clean", "val_error", "test_loss")


def summary(results: Iterable[Result]) -> pd.DataFrame:
    """A row a result: network, seed, parameters, SUMMARY, mean_response, diverged.

    Errors (%) and loss (nats) are those at the last iteration; mean_response is the mean of Figure
    7's stds over the layers, NaN where there are none. All are NaN where the run diverged.
    """
    rows = []
    for result in results:
        record = result.record
        row: dict[str, object] = {
            "network": record.network,
            "seed": record.seed,
            "parameters": record.parameters,
            "diverged": result.diverged,
        }
        if not result.diverged:
            row |= {name: getattr(record, name) for name in SUMMARY}
            row["mean_response"] = result.mean_response
        rows.append(row)
    columns = ["network", "seed", "parameters", *SUMMARY, "mean_response", "diverged"]
    numbers = dict.fromkeys([*SUMMARY, "mean_response"], float)
    return pd.DataFrame(rows, columns=columns).astype({**numbers, "diverged": bool})
