"""BN, shortcut and ReLU in Triton, forward and backward; a pixel is a row of C channels.

z = ReLU(u), u = gamma (y - mean) / std + beta [+ shortcut], with the mean and the variance of all
pixels of the batch. They come as partial sums, one a program of the kernel before, which every
program here adds up in the same order.
"""

import triton
import triton.language as tl


@triton.jit
def bn_forward(
    y,
    x,
    means,
    deviations,
    gamma,
    beta,
    running_mean,
    running_var,
    statistics,
    z,
    height: tl.constexpr,
    width: tl.constexpr,
    channels: tl.constexpr,
    shortcut: tl.constexpr,
    eps: tl.constexpr,
    momentum: tl.constexpr,
    parts: tl.constexpr,
    part_size: tl.constexpr,
    block: tl.constexpr,
    tiles: tl.constexpr,
):
    """z = ReLU(BN(y) [+ shortcut(x)]), (N, H, W, C).

    means, deviations: (parts, C), of part_size pixels each. shortcut: 0 for none, 1 for x itself, 2
    for option A of x, (N, 2 H, 2 W, C / 2): every second pixel, new channels zero. Writes
    statistics, (2, C), the mean and 1 / std, and updates BN's running ones.
    """
    program = tl.program_id(0)
    c = tl.arange(0, channels)
    at = tl.arange(0, parts)[:, None] * channels + c[None, :]
    part_means = tl.load(means + at)
    mean = tl.sum(part_means, 0) / parts
    change = part_means - mean[None, :]
    deviation = tl.sum(tl.load(deviations + at), 0) + part_size * tl.sum(change * change, 0)
    pixels: tl.constexpr = part_size * parts
    rstd = 1.0 / tl.sqrt(deviation / pixels + eps)
    scale = tl.load(gamma + c) * rstd
    shift = tl.load(beta + c) - mean * scale
    if program == 0:
        tl.store(statistics + c, mean)
        tl.store(statistics + channels + c, rstd)
        old_mean = tl.load(running_mean + c)
        old_var = tl.load(running_var + c)
        var = deviation / (pixels - 1)
        tl.store(running_mean + c, (1 - momentum) * old_mean + momentum * mean)
        tl.store(running_var + c, (1 - momentum) * old_var + momentum * var)
    for i in tl.static_range(tiles):
        p = (program * tiles + i) * block + tl.arange(0, block)
        at = p[:, None] * channels + c[None, :]
        u = tl.load(y + at).to(tl.float32) * scale[None, :] + shift[None, :]
        if shortcut == 1:
            u += tl.load(x + at).to(tl.float32)
        if shortcut == 2:
            n = p // (height * width)
            row = (p % (height * width)) // width * 2
            source = (n * 2 * height + row) * (2 * width) + p % width * 2
            u += tl.load(
                x + source[:, None] * (channels // 2) + c[None, :],
                mask=(c < channels // 2)[None, :],
                other=0.0,
            ).to(tl.float32)
        tl.store(z + at, tl.maximum(u, 0.0).to(z.dtype.element_ty))


@triton.jit
def bn_backward(
    du,
    y,
    sums,
    dots,
    gamma,
    statistics,
    dgamma,
    dbeta,
    dy,
    channels: tl.constexpr,
    parts: tl.constexpr,
    part_size: tl.constexpr,
    block: tl.constexpr,
    tiles: tl.constexpr,
):
    """dy = gamma / std (du - mean(du) - h mean(du h)), h = (y - mean) / std; dgamma and dbeta.

    sums, dots: (parts, C), of du and of du h, of part_size pixels each.
    """
    program = tl.program_id(0)
    c = tl.arange(0, channels)
    at = tl.arange(0, parts)[:, None] * channels + c[None, :]
    total = tl.sum(tl.load(sums + at), 0)
    dot = tl.sum(tl.load(dots + at), 0)
    if program == 0:
        tl.store(dbeta + c, total)
        tl.store(dgamma + c, dot)
    mean = tl.load(statistics + c)
    rstd = tl.load(statistics + channels + c)
    pixels: tl.constexpr = part_size * parts
    scale = tl.load(gamma + c) * rstd
    slope = -scale * rstd * dot / pixels
    shift = -scale * total / pixels - slope * mean
    for i in tl.static_range(tiles):
        p = (program * tiles + i) * block + tl.arange(0, block)
        at = p[:, None] * channels + c[None, :]
        value = scale[None, :] * tl.load(du + at).to(tl.float32) + (
            slope[None, :] * tl.load(y + at).to(tl.float32) + shift[None, :]
        )
        tl.store(dy + at, value.to(dy.dtype.element_ty))


@triton.jit
def pooling_backward(
    dmean,
    z,
    y,
    statistics,
    du,
    sums,
    dots,
    pixels: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    """du of the last layer and its sums, from the gradient of z's mean over each image's pixels.

    dmean: (N, C) float32; pixels: of an image; sums, dots: as `bn_backward` takes them.
    """
    program = tl.program_id(0)
    c = tl.arange(0, channels)
    p = program * block + tl.arange(0, block)
    at = p[:, None] * channels + c[None, :]
    gradient = tl.load(dmean + (p // pixels)[:, None] * channels + c[None, :]) / pixels
    rounded = tl.where(tl.load(z + at) > 0, gradient, 0.0).to(du.dtype.element_ty)
    tl.store(du + at, rounded)
    value = rounded.to(tl.float32)
    mean = tl.load(statistics + c)
    rstd = tl.load(statistics + channels + c)
    normalised = (tl.load(y + at).to(tl.float32) - mean[None, :]) * rstd[None, :]
    tl.store(sums + program * channels + c, tl.sum(value, 0))
    tl.store(dots + program * channels + c, tl.sum(value * normalised, 0))
