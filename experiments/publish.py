"""Copy finished runs to where the published ones are: `make publish RUNS=my-runs`."""

from dataclasses import replace
from pathlib import Path

import click

from resnet_paper import data, pretrained, responses, study
from resnet_paper.data import Normalisation


@click.command()
@study.options
@click.option("--to", type=click.Path(path_type=Path), default=study.Study.root, show_default=True)
def main(study: study.Study, to: Path) -> None:
    """Publish the finished runs of these settings that are not published yet; trains nothing."""
    responses.record_missing(study)
    runs = [run for run in study.recorded() if not replace(run, root=to).directory.exists()]
    if not runs:
        click.echo(f"no finished run in {study.root} is missing in {to}")
        return
    dataset = data.load(study.recipe, study.data_dir)
    normalise = Normalisation.of(dataset.train, study.recipe)
    for run in runs:
        published = pretrained.publish(run, to, dataset.test, normalise)
        weights = published.finished_record().get("published")
        precision = f"with weights in {weights['weights']}" if weights else "without weights"
        click.echo(f"{run}: {published.directory}, {precision}")


if __name__ == "__main__":
    main()
