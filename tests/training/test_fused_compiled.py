"""What the fused kernels are compiled to for an H100, without one."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_paper.networks.resnets import cifar_net, option_a

triton = pytest.importorskip("triton", reason="Triton is not installed")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
SHARED = 227 * 1024  # bytes that a program may have
TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64"}
# Their products are too narrow for a whole warp group.
WITHOUT_WGMMA = {(16, 32), (32, 32), (32, 64)}  # channels, of weight gradients
Launch = tuple[Any, int, tuple[tuple[str, Any], ...]]


def launches(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """The kernels of an iteration of ResNet-20 at batch 128: warps, and arguments by name."""
    from resnet_paper.training.fused.network import FusedNetwork

    found: dict[Launch, None] = {}

    def record(kernel: Any, *tensors: Any, num_warps: int, **others: Any) -> None:
        given = dict(zip(kernel.arg_names, tensors, strict=False))
        types = {k: TYPES[v.dtype] if torch.is_tensor(v) else "i32" for k, v in given.items()}
        constants = {k: v for k, v in others.items() if k in kernel.arg_names}
        found[kernel, num_warps, tuple({**types, **constants}.items())] = None

    with monkeypatch.context() as patched, torch.device("meta"):
        patched.setattr(JITFunction, "run", record)
        network, images = cifar_net(20, option_a), torch.empty(128, 3, 32, 32)
        FusedNetwork(network, 128)(images).sum().backward()
    return list(found)


def compiled(launch: Launch) -> Any:
    kernel, warps, arguments = launch
    signature, constants, attributes = {}, {}, {}
    for place, name in enumerate(kernel.arg_names):
        value = dict(arguments)[name]
        if isinstance(value, str):
            signature[name], attributes[place,] = value, [["tt.divisibility", 16]]
        else:
            signature[name], constants[place,] = "constexpr", value
    source = ASTSource(kernel, signature, constants, attributes)
    options = {"num_warps": warps, "enable_fp_fusion": True}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def stack(cubin: bytes) -> int:
    """The bytes of stack that a kernel uses: registers that were spilt."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [CUOBJDUMP, "-res-usage", file.name]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(re.search(r"STACK:(\d+)", answer.stdout + answer.stderr)[1])


@pytest.mark.slow
def test_no_kernel_spills_and_products_are_of_warp_groups(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    found = launches(monkeypatch)
    assert len(found) == 30
    for launch in found:
        kernel, _, arguments = launch
        values, binary = dict(arguments), compiled(launch)
        name = f"{kernel.__name__} {values}"
        assert stack(binary.asm["cubin"]) == 0, name
        assert binary.metadata.shared <= SHARED, name
        if kernel.__name__.startswith(("conv", "pair")):
            channels = values.get("channels_in"), values["channels"]
            narrow = kernel.__name__ == "conv_weight_gradient" and channels in WITHOUT_WGMMA
            assert ("wgmma" in binary.asm["ptx"]) != narrow, name
