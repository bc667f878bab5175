"""A 3x3 convolution in Triton: forward, data gradient and weight gradient, each an implicit GEMM.

x is (N, stride H, stride W, C_in), y = conv(x) is (N, H, W, C), w is (9, C_in, C), all contiguous
and of one type; sums are float32. Pixels are numbered through the batch. A program computes `tiles`
tiles of `block` pixels of its result, one after the other, and its own partial sums, which the next
kernel adds up in a fixed order.
"""

import triton
import triton.language as tl


@triton.jit
def conv_forward(
    x,
    w,
    y,
    means,
    deviations,
    height: tl.constexpr,
    width: tl.constexpr,
    channels_in: tl.constexpr,
    channels: tl.constexpr,
    stride: tl.constexpr,
    block: tl.constexpr,
    tiles: tl.constexpr,
    stages: tl.constexpr,
):
    """y = conv(x), and the statistics of each program's pixels of y.

    means, deviations: (programs, C) float32, the mean and the sum of squared deviations from it.
    """
    program = tl.program_id(0)
    ci = tl.arange(0, channels_in)
    co = tl.arange(0, channels)
    rows: tl.constexpr = height * stride
    columns: tl.constexpr = width * stride
    mean = tl.zeros((channels,), tl.float32)
    deviation = tl.zeros((channels,), tl.float32)
    for i in tl.static_range(tiles):
        p = (program * tiles + i) * block + tl.arange(0, block)
        n = p // (height * width)
        row = (p % (height * width)) // width * stride
        column = p % width * stride
        out = tl.zeros((block, channels), tl.float32)
        for k in tl.range(0, 9, num_stages=stages):
            r = row + k // 3 - 1
            c = column + k % 3 - 1
            inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
            source = (n * rows + r) * columns + c
            a = tl.load(
                x + source[:, None] * channels_in + ci[None, :], mask=inside[:, None], other=0.0
            )
            b = tl.load(w + (k * channels_in + ci)[:, None] * channels + co[None, :])
            out = tl.dot(a, b, out)
        rounded = out.to(y.dtype.element_ty)
        tl.store(y + p[:, None] * channels + co[None, :], rounded)
        value = rounded.to(tl.float32)
        tile_mean = tl.sum(value, 0) / block
        from_mean = value - tile_mean[None, :]
        # Chan et al. (1979): the statistics of i tiles and of one more, together
        change = tile_mean - mean
        deviation += tl.sum(from_mean * from_mean, 0) + change * change * (block * i / (i + 1))
        mean += change / (i + 1)
    tl.store(means + program * channels + co, mean)
    tl.store(deviations + program * channels + co, deviation)


@triton.jit
def conv_data_gradient(
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
    channels_in: tl.constexpr,
    channels: tl.constexpr,
    stride: tl.constexpr,
    has_shortcut: tl.constexpr,
    block: tl.constexpr,
    tiles: tl.constexpr,
    stages: tl.constexpr,
):
    """du = (conv^T(dy) [+ what the shortcut passes on]) where z > 0, of the layer below.

    z = ReLU(u), u = BN(y) [+ shortcut], all of the layer below, (N, H, W, C_in); dy: of the layer
    above, (N, H / stride, W / stride, C), and du_shortcut likewise: the gradient of what the
    shortcut from z is added to, an identity, with a stride that of option A. sums, dots: (programs,
    C_in), the sums of du and of du (y - mean) / std.
    """
    program = tl.program_id(0)
    ci = tl.arange(0, channels_in)
    co = tl.arange(0, channels)
    mean = tl.load(statistics + ci)
    rstd = tl.load(statistics + channels_in + ci)
    total = tl.zeros((channels_in,), tl.float32)
    dot = tl.zeros((channels_in,), tl.float32)
    for i in tl.static_range(tiles):
        p = (program * tiles + i) * block + tl.arange(0, block)
        n = p // (height * width)
        row = (p % (height * width)) // width
        column = p % width
        out = tl.zeros((block, channels_in), tl.float32)
        for k in tl.range(0, 9, num_stages=stages):
            r = row + (1 - k // 3)
            c = column + (1 - k % 3)
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            if stride == 1:
                source = p + (1 - k // 3) * width + (1 - k % 3)
            else:
                inside = inside & (r % 2 == 0) & (c % 2 == 0)
                source = (n * (height // 2) + r // 2) * (width // 2) + c // 2
            a = tl.load(
                dy + source[:, None] * channels + co[None, :], mask=inside[:, None], other=0.0
            )
            b = tl.load(w + (k * channels_in + ci)[:, None] * channels + co[None, :])
            out = tl.dot(a, tl.trans(b), out)
        at = p[:, None] * channels_in + ci[None, :]
        if has_shortcut:
            if stride == 1:
                out += tl.load(du_shortcut + at).to(tl.float32)
            else:
                even = (row % 2 == 0) & (column % 2 == 0)
                source = (n * (height // 2) + row // 2) * (width // 2) + column // 2
                out += tl.load(
                    du_shortcut + source[:, None] * channels + ci[None, :],
                    mask=even[:, None],
                    other=0.0,
                ).to(tl.float32)
        rounded = tl.where(tl.load(z + at) > 0, out, 0.0).to(du.dtype.element_ty)
        tl.store(du + at, rounded)
        value = rounded.to(tl.float32)
        normalised = (tl.load(y + at).to(tl.float32) - mean[None, :]) * rstd[None, :]
        total += tl.sum(value, 0)
        dot += tl.sum(value * normalised, 0)
    tl.store(sums + program * channels_in + ci, total)
    tl.store(dots + program * channels_in + ci, dot)


@triton.jit
def conv_weight_gradient(
    x,
    dy,
    dw,
    apart,
    height: tl.constexpr,
    width: tl.constexpr,
    channels_in: tl.constexpr,
    channels: tl.constexpr,
    stride: tl.constexpr,
    block: tl.constexpr,
    steps: tl.constexpr,
    stages: tl.constexpr,
):
    """dw = sum over pixels of x^T dy, (9, C_in, C) float32, of each chunk of steps x block pixels.

    Grid (chunks, 3): a program has a row of the kernel. The chunks' dw are `apart` elements apart.
    """
    chunk = tl.program_id(0)
    kernel_row = tl.program_id(1)
    ci = tl.arange(0, channels_in)
    co = tl.arange(0, channels)
    rows: tl.constexpr = height * stride
    columns: tl.constexpr = width * stride
    left = tl.zeros((channels_in, channels), tl.float32)
    middle = tl.zeros((channels_in, channels), tl.float32)
    right = tl.zeros((channels_in, channels), tl.float32)
    for step in tl.range(0, steps, num_stages=stages):
        p = (chunk * steps + step) * block + tl.arange(0, block)
        n = p // (height * width)
        r = (p % (height * width)) // width * stride + kernel_row - 1
        c = p % width * stride - 1
        g = tl.load(dy + p[:, None] * channels + co[None, :])
        source = (n * rows + r) * columns + c
        inside = (r >= 0) & (r < rows)
        at = x + source[:, None] * channels_in + ci[None, :]
        a = tl.load(at, mask=(inside & (c >= 0))[:, None], other=0.0)
        b = tl.load(at + channels_in, mask=inside[:, None], other=0.0)
        d = tl.load(at + 2 * channels_in, mask=(inside & (c + 2 < columns))[:, None], other=0.0)
        left = tl.dot(tl.trans(a), g, left)
        middle = tl.dot(tl.trans(b), g, middle)
        right = tl.dot(tl.trans(d), g, right)
    at = dw + chunk.to(tl.int64) * apart + kernel_row * 3 * channels_in * channels
    at = at + ci[:, None] * channels + co[None, :]
    tl.store(at, left)
    tl.store(at + channels_in * channels, middle)
    tl.store(at + 2 * channels_in * channels, right)
