"""A study: a set of runs by one of the settings, those that have finished and those missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from resnet_paper.errors import UserError
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.recipe import SETTINGS, Recipe, differences
from resnet_paper.runs.run import Result, Run, begun_runs, finished_runs

ROOT = Path(__file__).parents[2]
# The clone, from where the command was started; the current directory where there is no clone.
CLONE = Path(os.path.relpath(ROOT) if (ROOT / "experiments").is_dir() else ".")
PUBLISHED = CLONE / "experiments" / "runs"
FIGURES = CLONE / "figures"


@dataclass(frozen=True)
class Study:
    """Runs of some settings: where they are recorded, and the data set that they see.

    How they are trained is a `Trainer`'s.
    """

    settings: str = "paper"
    root: Path = PUBLISHED
    data_dir: Path = CLONE / "data"
    seeds: int = 1  # how many runs of each network are wanted

    @property
    def recipe(self) -> Recipe:
        return SETTINGS[self.settings]

    @property
    def note(self) -> str:
        """The note of tables that are not by the paper's settings; else ""."""
        if self.settings == "paper":
            return ""
        other = f"Settings {self.settings!r}, not the paper's: {differences(self.recipe)}."
        return f"{DATA_SETS[self.recipe.dataset].note} {other}".strip()

    @property
    def output(self) -> Path:
        """Where tables and figures go: figures/, or figures/<settings>/ but for the paper's."""
        return FIGURES if self.settings == "paper" else FIGURES / self.settings

    @property
    def in_make(self) -> str:
        """This study as variables of make."""
        return f"SETTINGS={self.settings} RUNS={self.root} DATA_DIR={self.data_dir}"

    def run(self, network: str, seed: int) -> Run:
        return Run(self.root, self.settings, network, seed)

    def runs_of(self, networks: Sequence[str]) -> list[Run]:
        """The runs that the study wants of these networks: `seeds` of each.

        Those that have finished, whatever their seeds, then those of seeds 0, 1, 2, ...
        """
        seeds = {network: self.seeds_of(network) for network in networks}
        return [
            self.run(network, seeds[network][number])
            for number in range(self.seeds)
            for network in networks
        ]

    def seeds_of(self, network: str) -> list[int]:
        """The seeds of the runs that the study wants of a network, from the lowest.

        A damaged run counts as finished, so that it is not passed over in silence.
        """
        finished = []
        for run in begun_runs(self.root, self.settings, [network]):
            try:
                counts = run.finished
            except UserError:
                counts = True
            if counts:
                finished.append(run.seed)
        others = (seed for seed in count() if seed not in finished)
        return sorted([*finished, *islice(others, self.seeds)][: self.seeds])

    def results(self, networks: Sequence[str] | None = None) -> list[Result]:
        """The finished runs, of all networks or of these; UserError if of another recipe."""
        results = finished_runs(self.root, self.settings, networks)
        for result in results:
            result.run.require_recipe(result.content, self.recipe)
        return results

    def results_to_draw(self, networks: Sequence[str] | None = None) -> list[Result]:
        """`results`, for tables and figures, which replace older ones.

        Raises UserError if a root that was chosen has no finished run at all: a mistake, likely.
        """
        results = self.results(networks)
        if self.root != PUBLISHED and not (results or self.results()):
            raise UserError(
                f"no finished run in {self.root / self.settings}: is RUNS (--runs) or SETTINGS "
                "(--settings) mistyped, or has none finished yet?"
            )
        return results

    def has_begun(self, network: str) -> bool:
        """True if a run of this network is recorded or was begun."""
        return bool(network) and (self.root / self.settings / network).is_dir()
