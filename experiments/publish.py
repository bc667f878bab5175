"""Copy finished runs to where the published ones are: `make publish RUNS=my-runs`."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.errors import UserError
from resnet_paper.study.options import FOLDER, Command, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
@click.option(
    "--to", type=FOLDER, default=Study.root, show_default=True, help="Where publish copies runs."
)
def main(study: Study, to: Path) -> None:
    """Publish the finished runs of these settings that are not published yet; trains nothing.

    Responses that Figure 7 lacks are measured first, by the weights as they were trained.
    """
    if study.root.resolve() == to.resolve():
        raise UserError(
            f"{to} is where published runs are: choose those to publish by RUNS (--runs)"
        )
    results = study.results()
    if not results:
        raise UserError(f"no finished run in {study.root / study.settings}: choose another RUNS")
    missing = []
    for result in results:
        there = replace(result.run, root=to)
        if there.record() is None:
            missing.append(result.run)
            continue
        state = "published already" if there.finished else "not published: begun there too"
        click.echo(f"{result}: {state}, {there.directory}")
    if not missing:
        return
    from resnet_paper.study import publish, responses  # loads torch
    from resnet_paper.training import data

    responses.record_missing(study)
    dataset = data.load(study.recipe, study.data_dir)
    for run in missing:
        published = publish.publish(run.result(), to, dataset.test, dataset.normalise)
        weights = published.record.published
        precision = f"with weights in {weights.weights}" if weights else "without weights"
        click.echo(f"{run}: published, {published.run.directory}, {precision}")


if __name__ == "__main__":
    main()
