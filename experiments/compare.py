"""Networks side by side by a recipe of epochs: `make compare`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from experiments.reproduce import reproduce
from resnet_paper.errors import UserError
from resnet_paper.results.artefacts import Wanted
from resnet_paper.runs.recipe import COMPARED
from resnet_paper.study.options import Command, set_options
from resnet_paper.study.study import Study
from resnet_paper.study.trainer import Trainer


@click.command(cls=Command, context_settings={"default_map": {"settings": "100-epochs"}})
@set_options
def main(study: Study, trainer: Trainer) -> None:
    """Train what is missing of a comparison, then tabulate it and draw its curves."""
    if study.settings not in COMPARED:
        raise UserError(f"{study.settings!r} compares nothing: use {', '.join(COMPARED)}")
    reproduce(["comparison"], study, trainer, Wanted(study.settings))


if __name__ == "__main__":
    main()
