"""Your own runs beside the published ones and the paper: `make verify RUNS=my-runs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.errors import UserError
from resnet_paper.results import figures, verify
from resnet_paper.results.tables import save
from resnet_paper.runs.recipe import SETTINGS
from resnet_paper.runs.run import finished_runs
from resnet_paper.study.options import Command, Word, options
from resnet_paper.study.study import PUBLISHED, Study


@click.command(cls=Command)
@options
@click.option(
    "--against",
    type=Word(SETTINGS),
    help="Settings of the runs that verify compares with; by default SETTINGS.",
)
def main(study: Study, against: str | None) -> None:
    """Say whether finished runs agree with the published ones; exits with 1 if one does not."""
    if study.root.resolve() == PUBLISHED.resolve():
        raise UserError(
            f"{study.root} has the published runs: name your own by RUNS (--runs), as in "
            "RUNS=my-runs"
        )
    against = against or study.settings
    mine, published = finished_runs(study.root, study.settings), finished_runs(PUBLISHED, against)
    recipe = SETTINGS[against]
    if not mine:
        raise UserError(f"no finished run in {study.root / study.settings}: nothing to compare")
    found = verify.pairs(mine, published, recipe)
    compared = [pair for pair in found if verify.comparable(pair, recipe)]
    others = ", ".join(dict.fromkeys(each.network for each in found if each not in compared))
    missing = others and f"Nothing published by {against!r} to compare with: {others}."
    if not compared:
        raise UserError(
            f"no run of {others} is published by the settings {against!r}: nothing to compare "
            "with. AGAINST=overnight (--against) compares with those of other settings"
        )
    table = verify.table(compared, published, recipe, missing)
    paths = save(table, study.output)
    click.echo(table.markdown())
    paths += figures.save(verify.figure(compared, recipe), study.output / "verify")
    click.echo(" ".join(map(str, paths)))
    verdicts = table.text["verdict"]
    click.echo(
        ", ".join(f"{count} {verdict}" for verdict, count in verdicts.value_counts().items())
    )
    lost = (table.numbers["mine_runs"] == 0) & (table.numbers["theirs_runs"] > 0)
    sys.exit(int(lost.any() or verify.DIFFERS in set(verdicts)))


if __name__ == "__main__":
    main()
