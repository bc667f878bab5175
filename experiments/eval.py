"""Test error and confusion matrix of weights: `make eval WEIGHTS=FILE NETWORK=resnet-20`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper import names
from resnet_paper.errors import UserError
from resnet_paper.results import confusion, figures
from resnet_paper.results.tables import save
from resnet_paper.runs.datasets import DATA_SETS
from resnet_paper.runs.run import record_beside
from resnet_paper.study.options import FILE, Command, NetworkName, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
@click.option("--weights", type=FILE, help="A file of weights for eval.")
@click.option("--network", type=NetworkName(), help="Of WEIGHTS.")
@click.option(
    "--normalisation",
    "named",
    help="Of the images that WEIGHTS saw: "
    "'per-pixel mean', channels, 'imagenet channels', or numbers.",
)
def main(study: Study, weights: Path | None, network: str | None, named: str | None) -> None:
    """Evaluate the weights that are recorded, or a file of weights, on the test images."""
    from resnet_paper.networks.weights import load_weights  # loads torch
    from resnet_paper.study.evaluate import (
        classify,
        confusion_counts,
        loss_and_error,
        normalisation,
    )
    from resnet_paper.study.responses import refuse_weights_of_another
    from resnet_paper.training import data

    if weights is None:
        results = study.results([network] if network else None)
        for each in results:
            if each.diverged:
                click.echo(f"{each} diverged: it has no test error")
        todo = [
            (each.run.weights_file, each.network, f"seed-{each.seed}", content)
            for each in results
            if not each.diverged and (content := each.weights()) is not None
        ]
    elif network is None:
        raise UserError(f"of which network is {weights}? Say so by NETWORK (--network)")
    else:
        todo = [(weights, network, "own", weights.read_bytes())]
    if not todo:
        of = f" of {network}" if network else ""
        other = "other " if any(each.diverged for each in results) else ""
        raise UserError(f"no {other}weights{of} are recorded in {study.root / study.settings}")
    normalisations = []
    for file, name, *_ in todo:
        names.require_image_size(name, study.recipe.image_size)
        refuse_weights_of_another(name, file)
        record = record_beside(file)
        chosen = named or (record.recipe.normalisation if record else "")
        if not chosen:
            raise UserError(
                f"how were the images normalised that {file} was trained on? Say so by "
                "NORMALISATION (--normalisation): 'per-pixel mean', 'channels', "
                "'imagenet channels', or numbers"
            )
        normalisations.append((chosen, normalisation(chosen, study.recipe.channels)))
    dataset = data.load(study.recipe, study.data_dir)
    classes = DATA_SETS[study.recipe.dataset].names_of_classes(study.recipe.classes)
    for (file, name, whose, content), (chosen, of) in zip(todo, normalisations, strict=True):
        built = load_weights(name, content, str(file), study.recipe.classes, study.recipe.channels)
        click.echo(f"{name}, {file}: ", nl=False)  # stands there while the images are classified
        logits = classify(built, dataset.test, of(dataset.train))
        how = f" (normalised by {chosen})" if weights else ""  # else recorded with the run
        loss, error = loss_and_error(logits, dataset.test.labels)
        click.echo(f"test error {error:.2f}%, loss {loss:.4f}{how}")
        counts = confusion_counts(logits, dataset.test.labels)
        click.echo(f"  by class: {confusion.class_errors_text(counts, classes)}")
        stem, title = f"confusion-{name}-{whose}", f"{names.title(name)}, {whose.replace('-', ' ')}"
        paths = save(confusion.table(stem, counts, classes, study.note), study.output)
        paths += figures.save(
            confusion.figure(counts, classes, f"{title}: test error {error:.2f}%"),
            study.output / stem,
        )
        click.echo(f"  confusion: {' '.join(map(str, paths))}")


if __name__ == "__main__":
    main()
