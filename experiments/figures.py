"""Everything that can be drawn from what is recorded: `make figures`."""

import click

from experiments import claims, compare, fig6, fig7, shortcuts, table6
from resnet_paper import study
from resnet_paper.recipe import COMPARED


@click.command()
@study.options
def main(study: study.Study) -> None:
    """Draw every table and figure of these settings; trains nothing."""
    where = ["--settings", study.settings, "--runs", str(study.root)]
    if study.settings in COMPARED:
        compare.main([*where, "--draw-only"], standalone_mode=False)
        return
    for command in (table6, fig6, fig7, shortcuts):
        command.main([*where, "--draw-only"], standalone_mode=False)
    claims.main(where, standalone_mode=False)


if __name__ == "__main__":
    main()
