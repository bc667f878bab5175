"""The artefacts of a study: what each needs trained, its tables and its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from resnet_paper import names
from resnet_paper.paper import facts
from resnet_paper.results import comparisons, figures, gradients, tables, verdicts
from resnet_paper.results.comparisons import compared
from resnet_paper.results.curves import PRECISE
from resnet_paper.results.tables import Table
from resnet_paper.runs.gradients import Gradients
from resnet_paper.runs.recipe import COMPARED, PAPER, SETTINGS, Recipe, follows_paper, on_cifar10
from resnet_paper.runs.run import Result

# Section 4.2's nets that are trained by default.
RESNETS = tuple(f"resnet-{depth}" for depth in facts.RESNET_DEPTHS.split())
PLAIN = tuple(f"plain-{depth}" for depth in facts.PLAIN_DEPTHS.split())


@dataclass(frozen=True)
class Recorded:
    """The finished runs of some settings, all that tables and figures are drawn from.

    note: stands below each table. network: the net whose moving and precise BN are compared.
    gradients: those that were measured, if any.
    """

    results: Sequence[Result]
    settings: str
    note: str = ""
    network: str = "resnet-20"
    gradients: Gradients | None = None

    @property
    def recipe(self) -> Recipe:
        return SETTINGS[self.settings]


class Wanted(NamedTuple):
    """What a command asks for: settings, section 4.2's nets, the depth of shortcut options."""

    settings: str = "paper"
    resnets: Sequence[str] = RESNETS
    plain: Sequence[str] = PLAIN
    depth: int = 20


class TableOf(NamedTuple):
    """A table of an artefact, or several of a kind.

    name: the stem of its files, "shortcuts-*" of several. make: none where there is nothing to
    show. printed: what a command prints of it.
    """

    name: str
    make: Callable[[Recorded], Iterable[Table]]
    printed: Callable[[Table], str] | None = None

    def of(self, recorded: Recorded) -> list[Table]:
        """Those that have a row."""
        return [table for table in self.make(recorded) if len(table.text)]


class FigureOf(NamedTuple):
    """A figure of an artefact.

    name: the stem of its files. make: None where there is nothing to show. title: that of its
    section in the report, alt: what it shows in words; without them it is not in the report.
    """

    name: str
    make: Callable[[Recorded], Figure | None]
    title: str = ""
    alt: str = ""


def of_study(settings: str) -> bool:
    """True of settings whose networks are those of section 4.2, not a comparison of others."""
    return settings not in COMPARED


class Artefact(NamedTuple):
    """Tables and figures that one command makes.

    networks: those that it needs trained. of: which settings it is drawn for.
    """

    title: str
    tables: tuple[TableOf, ...] = ()
    figures: tuple[FigureOf, ...] = ()
    networks: Callable[[Wanted], Sequence[str]] = lambda _: ()
    of: Callable[[str], bool] = of_study


def others(recorded: Recorded) -> list[Result]:
    """The results of networks that no other artefact of these settings shows."""
    if not of_study(recorded.settings):
        shown = COMPARED[recorded.settings]
        return [each for each in recorded.results if each.network not in shown]
    return [
        each
        for each in recorded.results
        if not names.study_depth(each.network) and not names.shortcut_depths([each.network])
    ]


def of_figure7(recorded: Recorded) -> list[Result]:
    """The results of Figure 7's networks."""
    return [each for each in recorded.results if each.network in facts.FIGURE7_NETWORKS]


ARTEFACTS = {
    "fig6": Artefact(
        "Figure 6",
        networks=lambda wanted: [*wanted.plain, *wanted.resnets],
        figures=(
            FigureOf(
                "figure6",
                lambda of: figures.figure6(of.results, of.recipe),
                title="Figure 6: training and test error",
                alt="Training and test error by iteration.",
            ),
            FigureOf(
                "figure6_precise",
                lambda of: figures.figure6(of.results, of.recipe, test=PRECISE, with_paper=True),
            ),
            FigureOf(
                "precise_bn", lambda of: figures.precise_bn(of.results, of.network, of.recipe)
            ),
            FigureOf(
                "figure6_paper",
                lambda of: (
                    figures.figure6(of.results, of.recipe, with_paper=True)
                    if follows_paper(of.recipe)
                    else None
                ),
            ),
        ),
        tables=(
            TableOf("training", lambda of: [tables.training(of.results, of.recipe, of.note)]),
            TableOf(
                "figure6",
                lambda of: [tables.distances(of.results, of.note)] if of.recipe == PAPER else [],
            ),
        ),
    ),
    "table6": Artefact(
        "Table 6",
        networks=lambda wanted: wanted.resnets,
        tables=(
            TableOf(
                "table6",
                lambda of: [tables.table6(of.results, of.recipe, of.note)],
                printed=Table.markdown,
            ),
            TableOf("plain", lambda of: [tables.plain(of.results, of.recipe, of.note)]),
            TableOf(
                "reproductions",
                lambda of: (
                    [tables.reproductions(of.results, of.recipe, of.note)]
                    if on_cifar10(of.recipe)
                    else []
                ),
            ),
        ),
    ),
    "claims": Artefact(
        "Claims",
        tables=(
            TableOf(
                "claims",
                lambda of: (
                    [verdicts.claims_table(of.results, of.recipe, of.note, of.gradients)]
                    if on_cifar10(of.recipe)
                    else []
                ),
                printed=verdicts.in_lines,
            ),
        ),
    ),
    "fig7": Artefact(
        "Figure 7: layer responses",
        networks=lambda _: facts.FIGURE7_NETWORKS,
        figures=(
            FigureOf(
                "figure7",
                lambda of: figures.figure7(of_figure7(of), of.recipe),
                title="Figure 7: layer responses",
                alt="Standard deviations of layer responses, by layer and sorted by magnitude; "
                "their means are in the table.",
            ),
        ),
        tables=(
            TableOf(
                "figure7",
                lambda of: (
                    [tables.responses(of.results, of.recipe, of.note)]
                    if any(each.responses is not None for each in of_figure7(of))
                    else []
                ),
                printed=Table.markdown,
            ),
        ),
    ),
    "gradients": Artefact(
        "Gradients by layer",
        figures=(
            FigureOf(
                "gradients",
                lambda of: gradients.figure(of.gradients, of.recipe) if of.gradients else None,
                title="Gradients by layer",
                alt="Norms of gradients by layer, of new and trained nets with and without BN, "
                "and by iteration; those at the first and the last layer are in the table.",
            ),
        ),
        tables=(
            TableOf(
                "gradients",
                lambda of: [gradients.table(of.gradients, of.note)] if of.gradients else [],
                printed=Table.markdown,
            ),
        ),
    ),
    "shortcuts": Artefact(
        "Shortcut options",
        networks=lambda wanted: list(names.shortcut_networks(wanted.depth).values()),
        tables=(
            TableOf(
                "shortcuts-*",
                lambda of: comparisons.shortcuts(of.results, of.recipe, of.note),
                printed=Table.markdown,
            ),
        ),
    ),
    "comparison": Artefact(
        "Comparison",
        networks=lambda wanted: COMPARED[wanted.settings],
        of=lambda settings: settings in COMPARED,
        figures=(
            FigureOf(
                "comparison",
                lambda of: figures.comparison(compared(of.results, of.settings), of.recipe),
                title="Comparison",
                alt="Loss and accuracy of each run by epoch, in training and on the test images.",
            ),
        ),
        tables=(
            TableOf(
                "comparison",
                lambda of: [
                    comparisons.comparison(compared(of.results, of.settings), of.settings, of.note)
                ],
                printed=Table.markdown,
            ),
        ),
    ),
    "networks": Artefact(
        "Other networks",
        of=lambda _: True,
        figures=(
            FigureOf(
                "networks",
                lambda of: figures.comparison(others(of), of.recipe),
                title="Other networks",
                alt="Loss and accuracy of each run by epoch, in training and on the test images.",
            ),
        ),
        tables=(
            TableOf(
                "networks",
                lambda of: [tables.networks(others(of), of.note)],
                printed=Table.markdown,
            ),
        ),
    ),
}


def artefacts_of(settings: str) -> dict[str, Artefact]:
    """Those of ARTEFACTS that are drawn for some settings, by their names."""
    return {name: each for name, each in ARTEFACTS.items() if each.of(settings)}


def draw(name: str, recorded: Recorded, folder: Path) -> str:
    """Write the tables and figures of an artefact; return what the command prints.

    Files of tables and figures that have nothing to show are removed.
    """
    artefact, lines = ARTEFACTS[name], []
    for table in artefact.tables:
        written: list[Path] = []
        for made in table.of(recorded):
            if table.printed:
                lines.append(table.printed(made))
            paths = tables.save(made, folder)
            lines.append(" ".join(map(str, paths)))
            written += paths
        remove(folder, table.name, ("md", "csv"), written)
    for figure in artefact.figures:
        paths = figures.save(figure.make(recorded), folder / figure.name)
        if paths:
            lines.append(" ".join(map(str, paths)))
        remove(folder, figure.name, ("pdf", "png"), paths)
    return "\n".join(lines) or f"{name}: nothing to draw from what is recorded"


def remove(folder: Path, name: str, suffixes: Iterable[str], kept: Sequence[Path]) -> None:
    """Remove the files of a name, a pattern, but for those to keep."""
    for suffix in suffixes:
        for path in folder.glob(f"{name}.{suffix}"):
            if path not in kept:
                path.unlink()
