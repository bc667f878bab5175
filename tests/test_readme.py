"""The README shows what is recorded."""

import re
from pathlib import Path

import pytest

from resnet_paper import paper
from resnet_paper.pretrained import PUBLISHED
from resnet_paper.runs import Run

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


@pytest.mark.published
def test_its_table_of_results_is_the_one_that_the_published_runs_draw() -> None:
    assert (ROOT / "figures" / "reproductions.md").read_text() in README.read_text(), (
        "paste figures/reproductions.md into README.md"
    )


@pytest.mark.published
def test_its_numbers_on_precise_bn_are_those_of_the_run() -> None:
    papers = paper.figure6_curves().query("network == 'resnet-20'").set_index("iteration")
    curves = Run(PUBLISHED, "paper", "resnet-20", 0).curve().set_index("iteration")
    curves = curves.assign(paper=papers["test_error"])
    curves = curves[["test_error", "test_error_precise", "paper"]]
    swing = curves.diff().dropna().loc[10_000:31_000].abs().mean()
    above = curves.sub(curves["paper"], axis=0).dropna()
    before, after = above.loc[:32_000], above.loc[33_000:].mean()
    apart = (curves["test_error"] - curves["test_error_precise"]).loc[33_000:].abs().mean()
    text = " ".join(README.read_text().split())
    for words in (
        "changes by {:.2f} points with moving averages, by {:.2f} with precise BN, "
        "by {:.2f} in the paper".format(*swing),
        f"{before['test_error'].mean():.2f} points from the paper's curve with moving averages",
        f"{before['test_error_precise'].abs().mean():.2f} with precise BN",
        f"means over the {len(before)} points",
        f"differ by {apart:.2f} points",
        "lie {:.2f} and {:.2f} below the paper".format(*-after),
    ):
        assert words in text
    assert (before["test_error"] > 0).all()


@pytest.mark.parametrize("page", [README, ROOT / "experiments" / "runs" / "README.md"], ids=str)
def test_links_and_pictures_lead_to_files(page: Path) -> None:
    linked = re.findall(r"""(?:\]\(|src=")(?!https?:|#)([^)#"]+)""", page.read_text())
    assert [name for name in linked if not (page.parent / name).is_file()] == []
