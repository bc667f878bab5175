"""A 3x3 convolution of stride 1 and few channels in Triton: two neighbouring pixels at a time.

A row of the product is a pair of pixels, the even one first. They depend on 4 pixels of each of 3
rows, which lie side by side in memory: 3 products with K = 4 C and N = 2 C instead of 9 with both
C, which suits tensor cores from C = 16 on. The weights are (3, 4 C, 2 C): `Weights` says where.
Otherwise as in `convolutions`; x and y are (N, H, W, C), and `block` counts pairs.
"""

import triton
import triton.language as tl


@triton.jit
def pair_forward(
    x,
    w,
    y,
    means,
    deviations,
    height: tl.constexpr,
    width: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
    tiles: tl.constexpr,
    stages: tl.constexpr,
):
    """y = conv(x), and the statistics of each program's pixels of y, as `conv_forward`."""
    program = tl.program_id(0)
    k = tl.arange(0, 4 * channels)
    co = tl.arange(0, 2 * channels)
    mean = tl.zeros((2 * channels,), tl.float32)
    deviation = tl.zeros((2 * channels,), tl.float32)
    for i in tl.static_range(tiles):
        p = (program * tiles + i) * block + tl.arange(0, block)
        row = (p % (height * width // 2)) // (width // 2)
        column = (p % (width // 2))[:, None] * 2 + (k // channels)[None, :] - 1
        inside_row = (column >= 0) & (column < width)
        source = x + (p * 2 * channels)[:, None] + (k - channels)[None, :]
        out = tl.zeros((block, 2 * channels), tl.float32)
        for kernel_row in tl.range(0, 3, num_stages=stages):
            r = row + (kernel_row - 1)
            inside = ((r >= 0) & (r < height))[:, None] & inside_row
            a = tl.load(source + (kernel_row - 1) * width * channels, mask=inside, other=0.0)
            b = tl.load(w + (kernel_row * 4 * channels + k)[:, None] * (2 * channels) + co[None, :])
            out = tl.dot(a, b, out)
        rounded = out.to(y.dtype.element_ty)
        tl.store(y + (p * 2 * channels)[:, None] + co[None, :], rounded)
        value = rounded.to(tl.float32)
        tile_mean = tl.sum(value, 0) / block
        from_mean = value - tile_mean[None, :]
        change = tile_mean - mean
        deviation += tl.sum(from_mean * from_mean, 0) + change * change * (block * i / (i + 1))
        mean += change / (i + 1)
    # even and odd pixels together
    c = tl.arange(0, channels)
    by_parity = tl.reshape(mean, (2, channels))
    both = tl.sum(by_parity, 0) / 2
    change = by_parity - both[None, :]
    total = tl.sum(tl.reshape(deviation, (2, channels)), 0)
    total += block * tiles * tl.sum(change * change, 0)
    tl.store(means + program * channels + c, both)
    tl.store(deviations + program * channels + c, total)


@triton.jit
def pair_data_gradient(
    dy,
    w,
    du_shortcut,
    z,
    y,
    statistics,
    du,
    sums,
    dots,
    height: tl.constexpr,
    width: tl.constexpr,
    channels: tl.constexpr,
    has_shortcut: tl.constexpr,
    block: tl.constexpr,
    tiles: tl.constexpr,
    stages: tl.constexpr,
):
    """du of the layer below and its sums, as `conv_data_gradient`.

    w: the weights (3, 4 C, 2 C) of the transposed convolution: rotated by half a turn, with inputs
    and outputs exchanged.
    """
    program = tl.program_id(0)
    k = tl.arange(0, 4 * channels)
    ci = tl.arange(0, 2 * channels)
    mean = tl.load(statistics + ci % channels)
    rstd = tl.load(statistics + channels + ci % channels)
    total = tl.zeros((2 * channels,), tl.float32)
    dot = tl.zeros((2 * channels,), tl.float32)
    for i in tl.static_range(tiles):
        p = (program * tiles + i) * block + tl.arange(0, block)
        row = (p % (height * width // 2)) // (width // 2)
        column = (p % (width // 2))[:, None] * 2 + (k // channels)[None, :] - 1
        inside_row = (column >= 0) & (column < width)
        source = dy + (p * 2 * channels)[:, None] + (k - channels)[None, :]
        out = tl.zeros((block, 2 * channels), tl.float32)
        for kernel_row in tl.range(0, 3, num_stages=stages):
            r = row + (kernel_row - 1)
            inside = ((r >= 0) & (r < height))[:, None] & inside_row
            a = tl.load(source + (kernel_row - 1) * width * channels, mask=inside, other=0.0)
            b = tl.load(w + (kernel_row * 4 * channels + k)[:, None] * (2 * channels) + ci[None, :])
            out = tl.dot(a, b, out)
        at = (p * 2 * channels)[:, None] + ci[None, :]
        if has_shortcut:
            out += tl.load(du_shortcut + at).to(tl.float32)
        rounded = tl.where(tl.load(z + at) > 0, out, 0.0).to(du.dtype.element_ty)
        tl.store(du + at, rounded)
        value = rounded.to(tl.float32)
        normalised = (tl.load(y + at).to(tl.float32) - mean[None, :]) * rstd[None, :]
        total += tl.sum(value, 0)
        dot += tl.sum(value * normalised, 0)
    c = tl.arange(0, channels)
    tl.store(sums + program * channels + c, tl.sum(tl.reshape(total, (2, channels)), 0))
    tl.store(dots + program * channels + c, tl.sum(tl.reshape(dot, (2, channels)), 0))


@triton.jit
def pair_weight_gradient(
    x,
    dy,
    dw,
    apart,
    height: tl.constexpr,
    width: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
    steps: tl.constexpr,
    stages: tl.constexpr,
):
    """dw = sum over pairs of x^T dy, (3, 4 C, 2 C), of each chunk, as `conv_weight_gradient`."""
    chunk = tl.program_id(0)
    kernel_row = tl.program_id(1)
    k = tl.arange(0, 4 * channels)
    co = tl.arange(0, 2 * channels)
    out = tl.zeros((4 * channels, 2 * channels), tl.float32)
    for step in tl.range(0, steps, num_stages=stages):
        p = (chunk * steps + step) * block + tl.arange(0, block)
        r = (p % (height * width // 2)) // (width // 2) + kernel_row - 1
        column = (p % (width // 2))[:, None] * 2 + (k // channels)[None, :] - 1
        inside = ((r >= 0) & (r < height))[:, None] & (column >= 0) & (column < width)
        g = tl.load(dy + (p * 2 * channels)[:, None] + co[None, :])
        source = (p * 2 * channels + (kernel_row - 1) * width * channels)[:, None]
        a = tl.load(x + source + (k - channels)[None, :], mask=inside, other=0.0)
        out = tl.dot(tl.trans(a), g, out)
    at = dw + chunk.to(tl.int64) * apart
    at = at + (kernel_row * 4 * channels + k)[:, None] * (2 * channels) + co[None, :]
    tl.store(at, out)
