"""Training speed beside a plain PyTorch loop, or Ray's beside the local engine: `make bench`."""

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package beside this script

import click

from resnet_paper import names
from resnet_paper.runs.recipe import PAPER
from resnet_paper.study.options import DEVICES, ENGINES, Command, Word
from resnet_paper.study.trainer import opened_engine

NETWORKS = {"cpu": "resnet-20 resnet-56", "cuda": "resnet-20 resnet-56 resnet-110"}


@click.command(cls=Command)
@click.option(
    "--device", type=Word(DEVICES), default="auto", show_default=True, help="Where it is trained."
)
@click.option(
    "--engine",
    type=Word(ENGINES),
    default="local",
    show_default=True,
    help="ray: on all cores, GPUs and nodes at once.",
)
@click.option(
    "--networks", help="Of bench: by default resnet-20 and 56, on CUDA 110 too; by Ray resnet-20."
)
def main(device: str, engine: str, networks: str | None) -> None:
    """Time training iterations of 128 images: ours and plain PyTorch's, in turns.

    With --engine ray: all runs at once by Ray and those of the local engine.
    """
    from resnet_paper.training import backend  # loads torch

    device = backend.choose(device).device
    chosen = networks or ("resnet-20" if engine == "ray" else NETWORKS[device])
    each = list(map(names.canonical, chosen.split()))
    for network in each:
        names.parse(network)
    if engine == "ray":
        beside_local(each, device)
    else:
        beside_plain_pytorch(each, device)


def beside_plain_pytorch(networks: list[str], device: str) -> None:
    """Our training iterations by each kind of kernels, and plain PyTorch's."""
    from resnet_paper.bench import iterations
    from resnet_paper.training import backend

    default = backend.choose(device, iterations=PAPER.iterations)
    loops = iterations.loops(device)
    for network in networks:
        ours, *others = iterations.compare(list(loops.values()), network, device)
        click.echo(
            f"{network}: ours, {default}: {1e3 * ours:.2f} ms an iteration "
            f"({PAPER.batch_size / ours:,.0f} images/s)"
        )
        for name, seconds in zip(list(loops)[1:], others, strict=True):
            click.echo(f"  {name}: {1e3 * seconds:.2f} ms, {seconds / ours:.2f}x")
        if device == "cpu":
            ratio = iterations.two_beside_one(network)
            click.echo(
                f"  two at once with half the threads each: {ratio:.2f}x the images/s of one"
            )
        if device == "cuda":
            click.echo(
                f"  floor of 2 us a kernel: {iterations.floor(network) / ours:.0%} of our time"
            )
            for kernels in iterations.kernels_here(device):
                for at_once in (1, 2, 4, 8):
                    runs = iterations.runs_an_hour(network, device, at_once, kernels)
                    click.echo(
                        f"  KERNELS={kernels}, {at_once} at once: {runs:.1f} full-length runs an "
                        "hour"
                    )
    if device == "cuda":
        for kernels in iterations.kernels_here(device):
            training, measuring = iterations.minutes_of_figure6(kernels)
            click.echo(
                f"Figure 6's nine networks at once, KERNELS={kernels}: {training + measuring:.1f} "
                f"min, of which measuring takes {measuring:.1f}"
            )


def beside_local(networks: list[str], device: str) -> None:
    """Training by Ray and by the local engine, which is timed before and after it."""
    from resnet_paper.bench import engines

    recipe = engines.RECIPE
    with ExitStack() as opened:
        root = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        local = opened.enter_context(opened_engine("local", device, "auto", recipe))
        began = time.perf_counter()
        by_ray = opened.enter_context(opened_engine("ray", device, "auto", recipe))
        click.echo(f"{by_ray}: begun in {time.perf_counter() - began:.1f} s")
        _, next_one = engines.seconds_of_an_item(b"")
        click.echo(f"  news of a run: {1e3 * next_one:.2f} ms")
        for network in ("resnet-20", "resnet-56", "resnet-110"):
            checkpoint = engines.checkpoint_bytes(network, local, root)
            first, next_one = engines.seconds_of_an_item(checkpoint)
            click.echo(
                f"  a checkpoint of {network}: {len(checkpoint) / 1e6:.1f} MB, sent in "
                f"{1e3 * next_one:.0f} ms, the first of a task in {first:.1f} s"
            )
        for network in networks:
            before, ours, after = (
                engines.throughput(engine, network, root / str(turn))
                for turn, engine in enumerate((local, by_ray, local))
            )
            alone = statistics.mean([before.images_per_second, after.images_per_second])
            click.echo(
                f"{network}: {local}, {before.at_once} at once: {alone:,.0f} images/s "
                f"({before.images_per_second:,.0f} before, {after.images_per_second:,.0f} after)"
            )
            click.echo(
                f"  {by_ray}, {ours.at_once} at once: {ours.images_per_second:,.0f} images/s, "
                f"{ours.images_per_second / alone:.2f}x; each {ours.cost.memory / 1e9:.1f} GB"
            )


if __name__ == "__main__":
    main()
