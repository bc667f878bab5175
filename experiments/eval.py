"""Test error of recorded weights, or of any: `make eval WEIGHTS=FILE NETWORK=resnet-20`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper.errors import UserError
from resnet_paper.names import require_image_size
from resnet_paper.networks.build import load_weights
from resnet_paper.study.evaluate import evaluate, normalisation, recorded_normalisation
from resnet_paper.study.options import FILE, Command, NetworkName, options
from resnet_paper.study.responses import refuse_weights_of_another
from resnet_paper.study.study import Study
from resnet_paper.training import data


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
    if weights is None:
        todo = [
            (each.run.weights_file, each.network, content)
            for each in study.results([network] if network else None)
            if (content := each.weights()) is not None
        ]
    elif network is None:
        raise UserError(f"of which network is {weights}? Say so by NETWORK (--network)")
    else:
        todo = [(weights, network, weights.read_bytes())]
    if not todo:
        of = f" of {network}" if network else ""
        raise UserError(f"no weights{of} are recorded in {study.root / study.settings}")
    normalisations = []
    for file, name, _ in todo:
        require_image_size(name, study.recipe.image_size)
        refuse_weights_of_another(name, file)
        of_run = study.recipe.normalisation if weights is None else recorded_normalisation(file)
        chosen = named or of_run
        if not chosen:
            raise UserError(
                f"how were the images normalised that {file} was trained on? Say so by "
                "NORMALISATION (--normalisation): 'per-pixel mean', 'channels', "
                "'imagenet channels', or numbers"
            )
        normalisations.append((chosen, normalisation(chosen)))
    dataset = data.load(study.recipe, study.data_dir)
    for (file, name, content), (chosen, of) in zip(todo, normalisations, strict=True):
        built = load_weights(name, content, str(file), study.recipe.classes)
        click.echo(f"{name}, {file}: ", nl=False)  # stands there while the images are classified
        loss, error = evaluate(built, dataset.test, of(dataset.train))
        click.echo(f"test error {error:.2f}%, loss {loss:.4f} (by {chosen})")


if __name__ == "__main__":
    main()
