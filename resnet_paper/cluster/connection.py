"""A connection to a Ray cluster, or to a Ray started on this machine."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import ray

from resnet_paper.cluster import worker
from resnet_paper.cluster.engine import Cluster
from resnet_paper.errors import UserError
from resnet_paper.runs.provenance import PACKAGE, revision
from resnet_paper.runs.recipe import Recipe

IN_FLIGHT = 10**9  # bytes of the object store of a Ray on this machine, besides the images


@contextmanager
def connected(
    device: str, precision: str, recipe: Recipe, kernels: str = "auto"
) -> Iterator[Cluster]:
    """Context manager: the cluster that RAY_ADDRESS names, else one started on this machine.

    Raises UserError if it cannot be reached, or its nodes cannot train.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if address:
        require_reachable(address)
    local = {} if address else resources_here(recipe)
    variables = {"RESNET_PAPER_REVISION": revision(), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix=worker.PREFIX, ignore_cleanup_errors=True) as folder:
        empty = Path(folder, "empty")
        empty.mkdir()
        environment = {
            "py_modules": [str(PACKAGE)],
            "working_dir": str(empty),  # else tasks would import from this process's directory
            "excludes": ["__pycache__", "published"],
            "env_vars": variables,
        }
        try:
            ray.init(address or "local", runtime_env=environment, logging_level="ERROR", **local)
        except Exception as error:  # whatever Ray may raise
            ray.shutdown()
            named = f"RAY_ADDRESS={address}" if address else "a Ray on this machine"
            raise UserError(f"{named} cannot be used: {' '.join(str(error).split())}") from error
        try:
            with closing(
                Cluster(device, precision, recipe, None if address else folder, kernels)
            ) as cluster:
                yield cluster
        finally:
            ray.shutdown()


def require_reachable(address: str) -> None:
    """UserError unless something answers at HOST:PORT; Ray itself would try for minutes."""
    if address.startswith("ray://"):
        raise UserError(
            f"RAY_ADDRESS={address}: this must run on a machine of the cluster, with RAY_ADDRESS="
            "HOST:PORT, the address that `ray start --head` printed"
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError, ValueError) as error:
        raise UserError(
            f"RAY_ADDRESS={address} cannot be used ({error}): it is HOST:PORT of a running "
            "cluster, as `ray start --head` printed it; without RAY_ADDRESS this machine is used"
        ) from error


def resources_here(recipe: Recipe) -> dict[str, int | bool]:
    """How to start a Ray on this machine: room for the images, and the cores of this process.

    Ray would count all of the machine's, where Slurm or taskset allow it fewer.
    """
    images = recipe.train_images + recipe.validation_images + recipe.test_images
    store = IN_FLIGHT + images * recipe.channels * recipe.image_size**2
    options: dict[str, int | bool] = {"object_store_memory": store, "include_dashboard": False}
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
        if cores < (os.cpu_count() or 1):
            options["num_cpus"] = cores
    return options
