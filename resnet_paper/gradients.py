"""Gradients by layer of any network: `python -m resnet_paper.gradients --network NAME`."""

from pathlib import Path

import click

from resnet_paper.study import gradients
from resnet_paper.study.options import FILE, Command, NetworkName, options
from resnet_paper.study.study import Study


@click.command(cls=Command)
@options
@click.option("--network", type=NetworkName(), required=True, help="As in resnet-20.")
@click.option(
    "--weights",
    type=FILE,
    help="A state dict of the network; without it the network is new.",
)
def main(study: Study, network: str, weights: Path | None) -> None:
    """Signals and gradients at a network's 3x3 convolutions, in training mode and float32."""
    table = gradients.own_signals(study, network, weights)
    click.echo(table.to_string(index=False))
    norms = table["gradient_norm"]
    first, last = norms.iloc[0], norms.iloc[-1]
    line = f"{network}: gradient norm {first:.3g} at the first layer, {last:.3g} at the last"
    if len(table) > 1 and first > 0 and last > 0:
        line += f", a factor of {(first / last) ** (1 / (len(table) - 1)):.3f} a layer"
    click.echo(line)


if __name__ == "__main__":
    main()
