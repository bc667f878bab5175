"""A study as one HTML page: its tables, figures and claims, and where each number comes from."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import matplotlib as mpl
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs

from resnet_paper import names
from resnet_paper.results import interactive
from resnet_paper.results.artefacts import Artefact, Recorded, artefacts_of
from resnet_paper.results.formats import format_number
from resnet_paper.results.panels import conditions
from resnet_paper.results.style import style
from resnet_paper.results.tables import Table
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.gradients import Gradients
from resnet_paper.runs.recipe import COMPARED, SETTINGS
from resnet_paper.runs.record import Record, Resumption
from resnet_paper.runs.run import Result

INTERACTIVE = {"figure6": interactive.figure6}  # figures that the page shows as panels of plotly
LINK = re.compile(r"\[([^\]]+)\]\((https://[^\s)]+)\)")


class Section(NamedTuple):
    """A section of the page: a title and what stands below it, in this order.

    panels: of plotly, as JSON, by their titles. picture: an SVG as a data URI.
    """

    title: str
    table: Table | None = None
    panels: Mapping[str, Markup] = {}
    picture: str = ""
    alt: str = ""


def page(
    results: Sequence[Result], settings: str, note: str = "", gradients: Gradients | None = None
) -> str:
    """The report on the runs of some settings. It loads nothing from the network."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = markdown
    recipe = SETTINGS[settings]
    recorded = Recorded(results, settings, note, gradients=gradients)
    return environment.get_template("report.html.jinja").render(
        settings=settings,
        data_set=DATA_SETS[recipe.dataset],
        conditions=conditions(recipe, with_paper=settings not in COMPARED),
        note=note,
        runs=len(results),
        networks=len({result.network for result in results}),
        hours=sum(result.record.seconds or 0 for result in results) / 3600,
        sections=list(sections(recorded)) if results else [],
        kinds=interactive.kinds(recipe),
        shown=interactive.SHOWN,
        plotly=Markup(get_plotlyjs()),
    )


def sections(recorded: Recorded) -> Iterator[Section]:
    """The page's sections, for which there is something recorded."""
    for artefact in artefacts_of(recorded.settings).values():
        yield from sections_of(artefact, recorded)
    yield Section("Runs", runs_table(recorded.results))


def sections_of(artefact: Artefact, recorded: Recorded) -> Iterable[Section]:
    """An artefact's figures and tables; a figure and a table of one title share a section."""
    found: dict[str, Section] = {}
    for name, make, title, alt in artefact.figures:
        if name in INTERACTIVE:
            panels = INTERACTIVE[name](recorded.results, recorded.recipe)
            drawn = {panel: Markup(figure.to_json()) for panel, figure in panels.items()}
            if drawn:
                found[title] = Section(title, panels=drawn)
        elif alt and (picture := svg(make(recorded))):
            found[title] = Section(title, picture=picture, alt=alt)
    for entry in artefact.tables:
        for table in entry.of(recorded):
            title = table.title or artefact.title
            found[title] = found.get(title, Section(title))._replace(table=table)
    return found.values()


def runs_table(results: Iterable[Result]) -> Table:
    """A row a run: its test error, and how, when and from which code it was trained.

    Where a run was resumed in another environment or from other code, both are named.
    """
    rows = []
    for result in results:
        record = result.record
        parts: list[Record | Resumption] = [record, *record.resumed]
        environments = [part.environment for part in parts]
        error = "diverged" if result.diverged else format_number(record.test_error, "{:.2f}")
        rows.append(
            {
                "network": names.title(result.network),
                "seed": str(result.seed),
                "settings": record.settings,
                "test error (%)": error,
                "revision": distinct(short(part.revision) for part in parts),
                "device": distinct(f"{each.device}, {each.device_name}" for each in environments),
                "precision": distinct(each.precision for each in environments),
                "torch": distinct(each.torch for each in environments),
                "hours": format_number(record.seconds and record.seconds / 3600, "{:.1f}"),
                "started": record.started[:16].replace("T", " "),
                "resumed": str(len(record.resumed)),
            }
        )
    text = pd.DataFrame(rows)
    return Table(
        "runs", text, text, "Hours: training and measuring. Started: UTC. Resumed: how often."
    )


def short(revision: str) -> str:
    """A revision's first 7 digits, and what follows the digits, as "0123456-dirty"."""
    return re.sub(r"^([0-9a-f]{7})[0-9a-f]+", r"\1", revision)


def distinct(words: Iterable[str]) -> str:
    """The different ones of some words, in order."""
    return "; ".join(dict.fromkeys(words))


def svg(figure: Figure | None) -> str:
    """A figure on a transparent ground, as a data URI; "" for none."""
    if figure is None:
        return ""
    buffer = io.BytesIO()
    with style(), mpl.rc_context({"svg.hashsalt": "report"}):  # the same figure, the same bytes
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def markdown(text: str) -> Markup:
    """A table's note as HTML: paragraphs, lists and links are all the Markdown that it has."""
    blocks = []
    for block in text.strip().split("\n\n"):
        lines = [links(line.removeprefix("- ")) for line in block.splitlines()]
        if block.startswith("- "):
            items = Markup("").join(Markup("<li>{}</li>").format(line) for line in lines)
            blocks.append(Markup("<ul>{}</ul>").format(items))
        else:
            blocks.append(Markup("<p>{}</p>").format(Markup(" ").join(lines)))
    return Markup("\n").join(blocks)


def links(line: str) -> Markup:
    """A line of Markdown with its links as HTML; all else is escaped."""
    return Markup(LINK.sub(r'<a href="\2">\1</a>', str(escape(line))))
