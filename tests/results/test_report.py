"""The report is one page that shows what is recorded, and works in a browser."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from experiments.report import main
from resnet_paper.results import interactive, report, tables
from resnet_paper.results.artefacts import ARTEFACTS, Recorded
from resnet_paper.results.curves import PRECISE, TEST, TRAIN, papers_curve
from resnet_paper.results.verdicts import claims_table
from resnet_paper.runs.recipe import COMPARED, PAPER, SETTINGS
from resnet_paper.runs.run import Result
from tests.conftest import ENVIRONMENT, of_any_settings

RecordRun = Callable[..., Result]
ROOT = Path(__file__).parents[2]
LOADING = {"src", "srcset", "data", "poster", "action"}  # attributes that load what they name


class Page(HTMLParser):
    """A page's tags, the texts of its table cells and list items, and its text without scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.text = ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag in ("th", "td"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = "" if tag in ("th", "td", "script", "style") else self.inside

    def handle_data(self, data: str) -> None:
        if self.inside in ("th", "td", "span"):
            self.cells[-1] += data.strip()
        if self.inside not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each tag of a name."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def study(record_run: RecordRun) -> list[Result]:
    """Runs of four networks, two of them of resnet-20, which differ."""
    return [
        record_run("plain-20", error=9.5, responses=[1.0, 2.0]),
        record_run("plain-56", error=13.0, revision="fedcba987654"),
        record_run("resnet-20", responses=[0.5, 1.5], seconds=7_200.0),
        record_run("resnet-20", 1, error=9.0, train_error_clean=0.1),
        record_run("resnet-110", error=6.5),
    ]


@pytest.fixture(scope="module")
def drawn() -> list[str]:
    """Where `html` keeps its page: drawing one takes seconds."""
    return []


@pytest.fixture
def html(study: list[Result], drawn: list[str]) -> str:
    """The report on the study."""
    if not drawn:
        drawn.append(report.page(study, "paper"))
    return drawn[0]


def tables_of(results: list[Result]) -> list[tables.Table]:
    recorded = Recorded(results, "paper")
    made = [table for each in ARTEFACTS.values() for of in each.tables for table in of.of(recorded)]
    return [*made, report.runs_table(results)]


def test_the_page_has_the_rows_of_each_table(study: list[Result], html: str) -> None:
    cells = Page(html).cells
    shown = "\n".join(["", *cells, ""])
    names = [table.name for table in tables_of(study)]
    assert sorted(names) == [
        *("claims", "figure6", "figure7", "plain", "reproductions", "runs", "table6", "training")
    ]
    for table in tables_of(study):
        for row in [list(table.text.columns), *table.text.to_numpy().tolist()]:
            expected = [str(cell).strip() for cell in row]
            assert "\n".join(["", *expected, ""]) in shown, table.name


def test_the_page_has_each_verdict_and_each_runs_source(study: list[Result], html: str) -> None:
    page = Page(html)
    verdicts = [each["data-verdict"] for each in page.all("span") if "data-verdict" in each]
    assert verdicts == claims_table(study, PAPER).text["verdict"].tolist()
    assert set(verdicts) > {"not measured yet"}
    assert {each.record.revision[:7] for each in study} <= set(page.cells)


def test_a_run_names_all_that_it_was_trained_by(record_run: RecordRun) -> None:
    part = {"iteration": 1_000, "revision": "b" * 12, "started": "2026-01-02T00:00:00+00:00"}
    same = {**part, "computed": ENVIRONMENT}
    other = {**part, "computed": {**ENVIRONMENT, "torch": "2.15.0"}}
    result = record_run("resnet-20", resumed=[same, other], seconds=5_400.0)
    row = report.runs_table([result]).text.iloc[0]
    assert row["revision"] == f"0123456; {'b' * 7}"
    assert row["torch"] == "2.14.1; 2.15.0"
    assert (row["device"], row["precision"]) == ("cpu, a CPU", "float32")
    assert (row["hours"], row["started"], row["resumed"]) == ("1.5", "2026-01-01 00:00", "2")


def test_a_diverged_run_has_no_error(record_run: RecordRun) -> None:
    row = report.runs_table([record_run("plain-20", diverged=1_000)]).text.iloc[0]
    assert row["test error (%)"] == "diverged"


def test_the_page_loads_nothing(html: str) -> None:
    page = Page(html)
    loaded = [value or "" for _, of in page.tags for key, value in of.items() if key in LOADING]
    loaded += [link["href"] or "" for link in page.all("link")]
    assert loaded
    assert all(value.startswith("data:") for value in loaded)
    assert "default-src 'none'" in str(page.all("meta"))
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]


def test_the_page_is_readable_by_all(html: str) -> None:
    page = Page(html)
    assert page.all("html") == [{"lang": "en"}]
    assert "width=device-width" in str(page.all("meta"))
    assert len(page.all("title")) == len(page.all("h1")) == len(page.all("main")) == 1
    assert all(picture["alt"] for picture in page.all("img"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    sections = [each["id"] for each in page.all("section")]
    assert len(sections) == len(set(sections)) == len(page.all("h2"))
    assert [each["href"] for each in page.all("a")][1 : len(sections) + 1] == [
        f"#{section}" for section in sections
    ]


def test_what_is_recorded_is_escaped(record_run: RecordRun) -> None:
    script = "<script>alert(1)</script>"
    environment = {**ENVIRONMENT, "device_name": script}
    result = record_run("resnet-20", revision="<b>&", computed=environment)
    html = report.page([result], "paper", note=f"{script} [b](https://example.org/\"onclick='x)")
    assert script not in html
    page = Page(html)
    assert f"cpu, {script}" in page.cells
    assert "<b>&" in page.cells
    assert not any("onclick" in of for _, of in page.tags)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo\n\nthree", "<p>one two</p>\n<p>three</p>"),
        ("a < b\n\n- c\n- d", "<p>a &lt; b</p>\n<ul><li>c</li><li>d</li></ul>"),
        (
            "- [a/b](https://c.org/a/b): d",
            '<ul><li><a href="https://c.org/a/b">a/b</a>: d</li></ul>',
        ),
        ("[a](javascript:b)", "<p>[a](javascript:b)</p>"),
    ],
)
def test_notes_are_markdown(text: str, html: str) -> None:
    assert report.markdown(text) == html


def test_the_same_runs_give_the_same_page(study: list[Result], html: str) -> None:
    assert report.page(study, "paper") == html


def test_without_runs_the_page_says_so() -> None:
    html = report.page([], "overnight", note="Settings 'overnight'.")
    page = Page(html)
    assert "No run of these settings has finished yet" in page.text
    assert "Settings 'overnight'." in page.text
    assert not page.cells
    assert len(html) < 20_000


@of_any_settings
def test_runs_of_any_settings_have_a_page(settings: str, record_run: RecordRun) -> None:
    results = [
        record_run(name, settings=settings) for name in ("resnet-18", "resnet-20", "resnet-20-b")
    ]
    page = Page(report.page(results, settings, note="a note"))
    assert "ResNet-18" in page.cells
    titles = [section.title for section in report.sections(Recorded(results, settings))]
    assert ("Distances to the paper's curves" in titles) == (settings == "paper")
    assert ("Comparison" in titles) == ("resnet-18" in COMPARED.get(settings, ()))
    assert ("Shortcut options at 20 layers" in titles) == (settings not in COMPARED)


def test_a_net_has_an_entry_that_switches_its_curves(study: list[Result]) -> None:
    panels = interactive.figure6(study, PAPER)
    assert list(panels) == ["plain nets", "residual nets"]
    traces = [each for each in panels["residual nets"].data if each.legendgroup == "resnet-20"]
    entries = [each for each in traces if each.showlegend]
    assert [entry.name for entry in entries] == ["ResNet-20 8.50, n = 2"]
    lines = {each.meta: each for each in traces if each.meta and each.hoverinfo != "skip"}
    assert list(lines) == [TEST, TRAIN, PRECISE, interactive.PAPER]
    assert [lines[kind].visible for kind in lines] == [True, True, False, False]
    assert (lines[TEST].x[-1], lines[TEST].y[-1]) == (64_000, 8.5)
    (band,) = [each for each in traces if each.meta == TEST and each.hoverinfo == "skip"]
    curves = [each.curve[TEST].tolist() for each in study if each.network == "resnet-20"]
    assert list(band.y) == [*curves[0], *curves[1][::-1]]
    assert all(band.x[i] == band.x[-1 - i] for i in range(len(band.x)))


def test_one_run_has_no_band_and_a_shorter_training_no_curves_of_the_papers(
    record_run: RecordRun,
) -> None:
    recipe = SETTINGS["overnight"]
    figure = interactive.figure6([record_run("plain-20", settings="overnight")], recipe)
    traces = figure["plain nets"].data
    assert [each.meta for each in traces] == [None, TEST, TRAIN, PRECISE]
    assert list(interactive.kinds(recipe)) == [TEST, TRAIN, PRECISE]


def test_the_papers_curves_are_broken_where_they_cannot_be_read() -> None:
    curve = papers_curve("resnet-20")
    assert curve.index.tolist() == list(range(curve.index[0], 64_001, 1_000))
    assert curve.loc[32_000].isna().all()
    assert papers_curve("resnet-8").empty


def test_axes_are_those_of_the_figure(study: list[Result]) -> None:
    for panel in interactive.figure6(study, PAPER).values():
        assert (panel.layout.xaxis.range, panel.layout.yaxis.range) == ((0, 64_000), (0, 20))
        assert [shape.x0 for shape in panel.layout.shapes] == [32_000, 48_000]


def test_the_command_writes_the_page_beside_the_figures(
    record_run: RecordRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = record_run("resnet-20", settings="overnight")
    monkeypatch.chdir(tmp_path)
    arguments = ["--settings", "overnight", "--runs", str(result.run.root)]
    answer = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert answer.output == "figures/overnight/report.html\n"
    page = Page(Path(answer.output.strip()).read_text())
    assert (
        "Settings 'overnight', not the paper's: iterations 8,000, milestones 4,000 and 6,000, "
        in page.text
    )


def test_the_report_loads_no_torch() -> None:
    program = "import sys, experiments.report; print('torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "False\n"


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, driven by selenium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and its driver are not installed: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as browser:
        yield browser


@pytest.fixture
def opened(browser: Any, html: str, tmp_path: Path) -> Any:
    """The browser, with the report on the study in it."""
    path = tmp_path / "report.html"
    path.write_text(html)
    browser.get(path.as_uri())
    wait_until_drawn(browser)
    return browser


def wait_until(condition: Callable[[], object]) -> None:
    """A busy machine takes a while to draw."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def wait_until_drawn(browser: Any) -> None:
    legends = "return plots.length && plots.every(plot => plot.querySelector('.legend .traces'))"
    wait_until(lambda: browser.execute_script(legends))


def visible(browser: Any, network: str, kind: str) -> Any:
    """Whether a curve of a network is: true, false or "legendonly"."""
    script = """
    return plots.flatMap(plot => plot.data)
      .find(trace => trace.legendgroup === arguments[0] && trace.meta === arguments[1]).visible
    """
    return browser.execute_script(script, network, kind)


def click_legend(browser: Any, text: str) -> None:
    """Click a net's entry, and wait until the next click does not make it a double click."""
    entries = browser.find_elements("css selector", ".legend .traces")
    (entry,) = [each for each in entries if each.text.startswith(text)]
    entry.find_element("css selector", ".legendtoggle").click()
    browser.execute_async_script("setTimeout(arguments[0], 600)")


def click_switch(browser: Any, kind: str) -> None:
    browser.find_element("css selector", f"[data-kind={kind}]").click()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_a_browser_draws_the_page(opened: Any, scheme: str, size: tuple[int, int]) -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    opened.refresh()
    wait_until_drawn(opened)
    assert opened.get_log("browser") == []
    widths = opened.execute_script("return [...document.images].map(each => each.naturalWidth)")
    assert widths
    assert all(widths)
    drawn = "return plots.map(plot => plot.querySelectorAll('.scatterlayer .trace').length)"
    assert all(opened.execute_script(drawn))
    page = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    assert opened.execute_script(page) == 0, "only tables scroll sideways"
    loaded = "return performance.getEntriesByType('resource').map(each => each.name)"
    assert all(name.startswith("data:") for name in opened.execute_script(loaded))
    ground, text = opened.execute_script(
        """
        const legend = getComputedStyle(document.querySelector(".legendtext"));
        return [getComputedStyle(document.body).backgroundColor, legend.fill];
        """
    )
    assert (brightness(text) > brightness(ground)) == (scheme == "dark")


def brightness(colour: str) -> int:
    """The sum of a colour's parts, "rgb(1, 2, 3)"."""
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


@pytest.mark.slow
def test_the_legend_switches_a_net_off_and_on(opened: Any) -> None:
    click_legend(opened, "plain-20")
    for kind in (TEST, TRAIN):
        assert visible(opened, "plain-20", kind) == "legendonly"
        assert visible(opened, "plain-56", kind) is True
    click_legend(opened, "plain-20")
    assert visible(opened, "plain-20", TEST) is True
    assert visible(opened, "plain-20", PRECISE) is False


@pytest.mark.slow
def test_a_switch_shows_a_kind_of_curves_of_the_nets_that_are_on(opened: Any) -> None:
    click_legend(opened, "plain-20")
    click_switch(opened, PRECISE)
    assert visible(opened, "plain-20", PRECISE) == "legendonly"
    assert visible(opened, "plain-56", PRECISE) is True
    click_switch(opened, TEST)
    assert visible(opened, "plain-56", TEST) is False
    click_legend(opened, "plain-20")
    assert visible(opened, "plain-20", PRECISE) is True
    assert visible(opened, "plain-20", TEST) is False
    assert opened.get_log("browser") == []


@pytest.mark.slow
def test_a_legends_number_goes_with_the_curves_that_it_is_of(opened: Any) -> None:
    def entries() -> list[str]:
        texts = "return [...document.querySelectorAll('.legend .traces')].map(e => e.textContent)"
        return opened.execute_script(texts)

    with_number, without = "ResNet-20 8.50, n = 2", "ResNet-20"
    wait_until(lambda: with_number in entries() and without not in entries())
    click_switch(opened, TEST)
    wait_until(lambda: without in entries() and with_number not in entries())
    click_switch(opened, TEST)
    wait_until(lambda: with_number in entries() and without not in entries())


@pytest.mark.slow
def test_a_table_says_that_it_scrolls_where_it_is_wider_than_the_page(opened: Any) -> None:
    def hints() -> list[bool]:
        opened.execute_async_script("setTimeout(arguments[0], 200)")
        script = "return [...document.querySelectorAll('.hint')].map(hint => !hint.hidden)"
        return opened.execute_script(script)

    def resize(width: int) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    wide = """
    const regions = [...document.querySelectorAll(".scroll")];
    return regions.map(region => region.scrollWidth > region.clientWidth);
    """
    shown = []
    for width in (390, 2_500):
        resize(width)
        shown.append(hints())
        assert shown[-1] == opened.execute_script(wide)
    assert sum(shown[0]) > sum(shown[1])
