"""How a run is computed: device, precision, kernels, compilation, threads."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TypedDict

import click
import numpy as np
import PIL
import torch
from torch import Tensor, nn

from resnet_paper.errors import UserError
from resnet_paper.networks.resnets import Block, Bottleneck, ImageNetStem, Network, Stem
from resnet_paper.runs.provenance import processor
from resnet_paper.runs.recipe import Recipe
from resnet_paper.runs.record import Environment
from resnet_paper.training.fused import support
from resnet_paper.training.fused.compiled import fuse, fusible

CAPTURE_WARMUPS = 3  # executions before a CUDA graph is captured
WORTH_COMPILING = 2_000  # iterations; below, compiling takes longer than it saves
# Where KERNELS=auto means fused kernels: ("cuda", "bfloat16") once test_fused_cuda.py has passed on
# a GPU, ("cpu", "bfloat16") once make bench has shown them faster there.
FUSED_BY_DEFAULT = {("cpu", "float32")}
MOST_CONCURRENT = 8  # more runs at once do not make a GPU faster
# Nine nets in train and test mode compile some 40 variants of a block; the default is 8, after
# which dynamo would silently run eagerly.
RECOMPILE_LIMIT = 256
# What torch.compile needs on a CPU.
COMPILER = "a C++ compiler and Python's headers (on Debian or Ubuntu: apt install g++ python3-dev)"


class Method(TypedDict):
    """The part of a backend that decides a run's numbers, apart from their last bits."""

    device: str
    precision: str
    kernels: str
    compiled: bool


@dataclass(frozen=True)
class Backend:
    """Device, precision, kernels, compilation and threads: they decide a result's bits.

    float32 is plain PyTorch. bfloat16 is the fast path: convolutions in bfloat16 by autocast,
    channels last, on a CPU compiled blocks; weights, momentum and BN statistics stay float32.
    tf32, on CUDA only, is float32 but for products, whose factors are rounded to 10 bits.

    kernels: "pytorch", or in training "fused": on CUDA those of `fused`, for networks and batches
    that they fit; on a CPU BN, shortcut and ReLU as one function in compiled networks of 3x3 stems
    and blocks, in float32 too, then channels last.
    """

    device: str
    precision: str
    compiled: bool
    threads: int
    kernels: str = "pytorch"

    def activate(self) -> None:
        """Set the process-wide state that this backend computes with."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        if self.device == "cpu" and (self.fast or self.compiled):
            keep_freed_memory()
        if self.device == "cuda":
            be_deterministic(tf32=self.precision == "tf32")

    @property
    def fast(self) -> bool:
        return self.precision == "bfloat16"

    def prepare(self, network: nn.Module, recipe: Recipe) -> nn.Module:
        """The network, moved to the device and laid out for a recipe, compiled if so chosen."""
        network = network.to(self.device)
        fuses, compiles = self.fuses(network, recipe), self.compiles(network, recipe)
        if self.fast or compiles:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiles:
            compile_network(network, fuses)
        elif self.device == "cuda" and fuses:
            from resnet_paper.training.fused.network import FusedNetwork

            assert isinstance(network, Network)
            network.fused = FusedNetwork(network, recipe.batch_size)
        return network

    def fuses(self, network: nn.Module, recipe: Recipe) -> bool:
        """True if a network is trained by fused kernels."""
        if self.kernels == "pytorch":
            return False
        if self.device == "cpu":
            return self.compiled and fusible(network)
        return support.fits(network, recipe.batch_size, recipe.image_size)

    def compiles(self, network: nn.Module, recipe: Recipe) -> bool:
        """True if a network is compiled; in float32 only fused networks are."""
        return (
            self.compiled
            and bool(compilable(network))
            and (self.fast or self.fuses(network, recipe))
        )

    def logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """The network's logits, (N, classes) in float32, of normalised images (N, 3, H, W)."""
        if network.training and isinstance(network, Network) and network.fused:
            return network.fused(images)
        if self.fast:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.fast, cache_enabled=False):
            return network(images).float()

    def stream(self) -> torch.cuda.Stream | None:
        """A new stream for a run of its own; None on a CPU."""
        return torch.cuda.Stream() if self.device == "cuda" else None

    def captured(self, work: Callable[[], None]) -> Callable[[], None]:
        """A way to repeat some work: on CUDA its captured graph, else itself.

        The work must read and write tensors that stay where they are, and must not wait for the
        device. To be captured it is executed a few times, so what it changes must be restored.
        """
        if self.device != "cuda":
            return work
        for _ in range(CAPTURE_WARMUPS):
            work()
        torch.cuda.synchronize()
        gc.collect()  # not in the middle of a capture
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            work()
        return graph.replay

    def capacity(self, memory: int) -> int:
        """How many runs at once use the device well, if each takes so many bytes of it."""
        if self.device != "cuda":
            return 1
        free, _ = torch.cuda.mem_get_info()
        return max(1, min(MOST_CONCURRENT, free // max(memory, 1)))

    def method(self, network: nn.Module, recipe: Recipe) -> Method:
        """How a network is trained by a recipe."""
        return {
            "device": self.device,
            "precision": self.precision,
            "kernels": "fused" if self.fuses(network, recipe) else "pytorch",
            "compiled": self.compiles(network, recipe),
        }

    def environment(self, network: nn.Module, recipe: Recipe, concurrent: int) -> Environment:
        """How a network is trained by a recipe here, for run.json."""
        method = self.method(network, recipe)
        triton = None
        if method["kernels"] == "fused" and self.device == "cuda":
            triton = import_module("triton").__version__
        return Environment(
            **method,
            threads=self.threads,
            device_name=torch.cuda.get_device_name() if self.device == "cuda" else processor(),
            torch=str(torch.__version__),
            triton=triton,
            numpy=np.__version__,
            pillow=PIL.__version__,
            concurrent=concurrent,
        )

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        where = f"cpu with {threads}" if self.device == "cpu" else self.device
        compiled = ", compiled" if self.compiled else ""
        kernels = ", fused kernels" if self.kernels == "fused" else ""
        return f"{where} in {self.precision}{compiled}{kernels}"


def choose(
    device: str = "auto", precision: str = "auto", iterations: int = 0, kernels: str = "auto"
) -> Backend:
    """The fastest backend that this machine has for a run of some iterations.

    Raises UserError if what is asked for is not there.
    """
    # Both are read when CUDA starts: deterministic products, and a queue for each run's stream.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device is available here: use DEVICE=cpu (--device cpu)")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "tf32" and device != "cuda":
        raise UserError("tf32 is for CUDA devices: use PRECISION=float32 (--precision float32)")
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(device) else "float32"
    fused = kernels == "fused" or (kernels == "auto" and (device, precision) in FUSED_BY_DEFAULT)
    compiled = (
        device == "cpu"
        and (precision == "bfloat16" or fused)
        and iterations >= WORTH_COMPILING
        and can_compile()
    )
    lacks = lacks_for_fused(device, precision, compiled, iterations)
    if kernels == "fused" and lacks:
        raise UserError(
            f"fused kernels need {lacks}: use KERNELS=pytorch (--kernels pytorch) or leave it out"
        )
    kernels = "fused" if fused and not lacks else "pytorch"
    return Backend(device, precision, compiled, torch.get_num_threads(), kernels)


def lacks_for_fused(device: str, precision: str, compiled: bool, iterations: int) -> str:
    """What fused kernels need and is not there or not asked for, or ""."""
    if device == "cuda":
        if precision == "bfloat16":
            return support.missing()
        return "PRECISION=bfloat16" if has_bfloat16(device) else "bfloat16 arithmetic in hardware"
    if compiled:
        return ""
    if iterations < WORTH_COMPILING:
        return f"a GPU, or a run of at least {WORTH_COMPILING:,} iterations"
    return f"a GPU, or torch.compile, which needs {COMPILER}"


def has_bfloat16(device: str) -> bool:
    """True if bfloat16 arithmetic is in the hardware, not emulated."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def be_deterministic(tf32: bool) -> None:
    """The same bits each time on the same kind of GPU, whatever runs beside."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32


def compile_network(network: nn.Module, fused: bool = False) -> None:
    """Compile each block by itself, so that compile time does not grow with depth.

    fused: with BN, shortcut and ReLU as one function.
    """
    ignore_missing_cuda()
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    torch._dynamo.config.accumulated_recompile_limit = RECOMPILE_LIMIT
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    if fused:
        fuse(network)
    for module in compilable(network):
        module.compile(dynamic=False)


def compilable(network: nn.Module) -> list[nn.Module]:
    """The parts of a network that are compiled, each by itself."""
    parts = Stem | ImageNetStem | Block | Bottleneck
    return [module for module in network.modules() if isinstance(module, parts)]


def ignore_missing_cuda() -> None:
    """Keep the compiler from warning about CUDA_HOME without a GPU: nothing here needs it."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


@cache
def can_compile() -> bool:
    """Try one compilation: there may be no compiler, or no headers."""
    ignore_missing_cuda()
    try:
        torch.compile(lambda x: x.relu() + 1, dynamic=False)(torch.randn(64, 64))
    except Exception as error:  # whatever the tool chain may raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        click.echo(
            f"torch.compile does not work here ({reason}): training without it. It needs "
            f"{COMPILER}.",
            err=True,
        )
        return False
    return True


@cache
def keep_freed_memory() -> None:
    """Have glibc's malloc keep what is freed instead of returning it to the system.

    A training step allocates and frees the same hundreds of megabytes each time; fetching their
    pages from the system each time would take a third of the step. Without glibc: nothing.
    """
    trim_threshold, top_pad, mmap_threshold, mmap_max = -1, -2, -3, -4
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(mmap_threshold, 2**31 - 1)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 2**26)
