"""The README's generated tables are functions of the recorded runs."""

from collections.abc import Callable

import pytest

from resnet_paper.results import readme
from resnet_paper.runs.run import Result

RecordRun = Callable[..., Result]
PAGE = "before\n<!-- zoo -->\nold\n<!-- /zoo -->\nafter <!-- zoo --> in a line\n"
PUBLISHED = {"weights": "float16", "test_error": 8.46}


def lines(table: str) -> list[str]:
    return [line for line in table.splitlines() if line.startswith("|")]


def test_a_block_replaces_what_stands_between_its_markers() -> None:
    filled = readme.fill(PAGE, {"zoo": "new\n"})
    assert filled == PAGE.replace("old", "\nnew\n")
    assert readme.fill(filled, {"zoo": "new\n"}) == filled


def test_a_block_is_taken_literally() -> None:
    assert r"\1 \g<0>" in readme.fill(PAGE, {"zoo": r"\1 \g<0>"})


@pytest.mark.parametrize(
    "page",
    [
        "",
        PAGE.replace("<!-- /zoo -->", ""),
        PAGE.replace("<!-- zoo -->\nold", ""),
        PAGE + PAGE,
        "<!-- /zoo -->\n<!-- zoo -->\n",
    ],
    ids=["neither", "no end", "no beginning", "two pairs", "end before beginning"],
)
def test_a_missing_marker_is_an_error(page: str) -> None:
    with pytest.raises(ValueError, match="<!-- zoo --> and <!-- /zoo -->"):
        readme.fill(page, {"zoo": "new"})


def test_results_are_the_papers_ours_and_others(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20", seed, error) for seed, error in enumerate((8.4, 8.6))]
    runs.append(record_run("plain-20", error=9.5))
    table = lines(readme.results(runs).markdown())
    assert table[0] == "| network | paper | ours | n | others |"
    assert "| ResNet-20 | 8.75 | 8.50 ± 0.14 | 2 | 8.28 (10) |" in table
    assert "| ResNet-1202 | 7.93 | – | 0 | 6.18 (1) |" in table
    assert any(line.startswith("| ResNet-110 | 6.43 (6.61 ± 0.16) | – |") for line in table)
    assert "| plain-20 | 9.68 | 9.50 | 1 | 9.46 (8) |" in table
    assert [line.split("|")[1].strip() for line in table[2:]] == [
        *(f"ResNet-{depth}" for depth in (20, 32, 44, 56, 110, 1202)),
        *(f"plain-{depth}" for depth in (20, 32, 44, 56)),
    ]


def test_a_diverged_run_is_counted_apart(record_run: RecordRun) -> None:
    runs = [record_run("plain-56"), record_run("plain-56", 1, diverged=1_000)]
    numbers = readme.results(runs).numbers.set_index("network").loc["plain-56"]
    assert (numbers["mean"], numbers["runs"]) == (8.0, 1)
    assert "| 8.00, 1 diverged | 1 |" in readme.results(runs).markdown()


def test_results_are_of_full_length_runs_alone(record_run: RecordRun) -> None:
    runs = [record_run("resnet-20", settings="overnight")]
    assert readme.results(runs).numbers.equals(readme.results([]).numbers)


def test_the_zoo_has_a_row_a_network_and_a_column_a_setting(record_run: RecordRun) -> None:
    runs = [
        record_run("plain-20", settings="overnight", published=PUBLISHED),
        record_run("resnet-110", published=PUBLISHED),
        record_run("resnet-20", published=PUBLISHED, parameters=269_722),
        record_run("resnet-20", 1),
        record_run("plain-20", published=PUBLISHED | {"test_error": 9.15}),
    ]
    table = lines(readme.zoo(runs).markdown())
    assert table[0] == "| network | parameters | full length (`paper`) | an eighth (`overnight`) |"
    error = "[8.46](experiments/runs/paper/resnet-20/seed-0)"
    assert table[2] == f"| ResNet-20 | 269,722 | {error} | – |"
    assert [line.split("|")[1].strip() for line in table[2:]] == [
        "ResNet-20",
        "ResNet-110",
        "plain-20",
    ]
    plain = [cell.strip() for cell in table[4].split("|")]
    assert plain[3:5] == [
        "[9.15](experiments/runs/paper/plain-20/seed-0)",
        "[8.46](experiments/runs/overnight/plain-20/seed-0)",
    ]


def test_without_runs_the_zoo_is_empty() -> None:
    assert len(lines(readme.zoo([]).markdown())) == 2
