"""Training speed beside a plain PyTorch loop: `make bench`."""

import click

from resnet_paper.networks import names
from resnet_paper.runs.recipe import PAPER
from resnet_paper.study import bench
from resnet_paper.study.options import DEVICES, Word
from resnet_paper.training import backend

NETWORKS = {"cpu": "resnet-20 resnet-56", "cuda": "resnet-20 resnet-56 resnet-110"}


@click.command()
@click.option("--device", type=Word(DEVICES), default="auto")
@click.option("--networks", help="By default ResNet-20 and 56, on CUDA 110 too.")
def main(device: str, networks: str | None) -> None:
    """Time training iterations of 128 images: ours and plain PyTorch's, in turns."""
    device = backend.choose(device).device
    loops = [bench.our_loop, bench.plain_loop]
    if device == "cuda":
        loops.append(bench.resident_loop)
    for network in map(names.canonical, (networks or NETWORKS[device]).split()):
        names.parse(network)
        ours, *others = bench.compare(loops, network, device)
        click.echo(
            f"{network}: ours {1e3 * ours:.2f} ms an iteration "
            f"({PAPER.batch_size / ours:,.0f} images/s)"
        )
        for name, seconds in zip(("plain PyTorch", "with resident data"), others, strict=False):
            click.echo(f"  {name}: {1e3 * seconds:.2f} ms, {seconds / ours:.2f}x")
        if device == "cpu":
            ratio = bench.two_beside_one(network)
            click.echo(
                f"  two at once with half the threads each: {ratio:.2f}x the images/s of one"
            )
        if device == "cuda":
            click.echo(f"  floor of 2 us a kernel: {bench.floor(network) / ours:.0%} of our time")
            for at_once in (1, 2, 4, 8):
                runs = bench.runs_an_hour(network, device, at_once)
                click.echo(f"  {at_once} at once: {runs:.1f} full-length runs an hour")


if __name__ == "__main__":
    main()
