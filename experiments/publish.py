"""Copy finished runs to where the published ones are: `make publish RUNS=my-runs`."""

from dataclasses import replace
from pathlib import Path

import click

from resnet_paper import responses
from resnet_paper.errors import UserError
from resnet_paper.study import publish, study
from resnet_paper.training import data
from resnet_paper.training.data import Normalisation


@click.command()
@study.options
@click.option("--to", type=click.Path(path_type=Path), default=study.Study.root, show_default=True)
def main(study: study.Study, to: Path) -> None:
    """Publish the finished runs of these settings that are not published yet; trains nothing.

    Responses that Figure 7 lacks are measured first, by the weights as they were trained.
    """
    if study.root.resolve() == to.resolve():
        raise UserError(
            f"{to} is where published runs are: choose those to publish by RUNS (--runs)"
        )
    recorded = study.recorded()
    if not recorded:
        raise UserError(f"no finished run in {study.root / study.settings}: choose another RUNS")
    missing = []
    for run in recorded:
        there = replace(run, root=to)
        if there.record() is None:
            missing.append(run)
            continue
        state = "published already" if there.finished else "not published: begun there too"
        click.echo(f"{run}: {state}, {there.directory}")
    if not missing:
        return
    responses.record_missing(study)
    dataset = data.load(study.recipe, study.data_dir)
    normalise = Normalisation.of(dataset.train, study.recipe)
    for run in missing:
        published = publish.publish(run, to, dataset.test, normalise)
        weights = published.finished_record().get("published")
        precision = f"with weights in {weights['weights']}" if weights else "without weights"
        click.echo(f"{run}: published, {published.directory}, {precision}")


if __name__ == "__main__":
    main()
