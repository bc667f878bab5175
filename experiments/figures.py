"""Everything that can be drawn from what is recorded: `make figures`."""

import click

from experiments import claims, compare, fig6, fig7, shortcuts, table6
from resnet_paper.networks import names
from resnet_paper.runs.recipe import COMPARED
from resnet_paper.study import study


@click.command()
@study.options
@click.option(
    "--network",
    default=fig6.DEFAULT_NETWORK,
    help="The net whose moving and precise BN are compared.",
)
def main(study: study.Study, network: str) -> None:
    """Draw every table and figure of these settings; trains nothing."""
    where = ["--settings", study.settings, "--runs", str(study.root)]
    if study.settings in COMPARED:
        compare.main([*where, "--draw-only"], standalone_mode=False)
        return
    fig6.main([*where, "--draw-only", "--network", network], standalone_mode=False)
    table6.main([*where, "--draw-only"], standalone_mode=False)
    fig7.main([*where, "--draw-only"], standalone_mode=False)
    claims.main(where, standalone_mode=False)
    recorded = {run.network for run in study.recorded()}
    depths = {names.study_depth(name.removesuffix("-b").removesuffix("-c")) for name in recorded}
    for depth in sorted(filter(None, depths)):
        options = names.shortcut_networks(depth)
        if recorded & {options["B"], options["C"]}:
            shortcuts.main([*where, "--draw-only", "--depth", str(depth)], standalone_mode=False)


if __name__ == "__main__":
    main()
