"""Weights and pictures from a name and a counter, so that neither has to be stored.

The Rust side (tests/support/seeded.rs) computes the same numbers to the last bit: only integer arithmetic, and f32
products and sums in the same order, take part.

A number is drawn from (name, index): FNV-1a of the name starts a SplitMix64 sequence (Steele, Lea, Flood 2014), the top 24
bits of its index-th output become a float in [-1, 1), which f32 holds exactly.
"""

import hashlib
import math

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15


def fnv1a64(name: str) -> int:
    """FNV-1a, 64 bits, of the name's UTF-8 bytes."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return state


def uniform(name: str, count: int) -> np.ndarray:
    """The first `count` numbers of the sequence `name`: f32 in [-1, 1), exact."""
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(GOLDEN)
    z += np.uint64(fnv1a64(name))
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    z >>= np.uint64(40)
    return (z.astype(np.int64) - 2**23).astype(np.float32) / np.float32(2**23)


def spread(name: str, shape: list[int]) -> tuple[float, float]:
    """Offset and scale of a tensor, by its name and shape.

    Matrices keep the variance of what they multiply (uniform in +-sqrt(3 / fan in)); kernels double it, because a ReLU
    halves it again. Norms and biases are far enough from 1 and 0 that leaving one out shows. In the residual network the
    biases before a ReLU lean to the negative, or all pictures would end up alike after 16 blocks; and the norm that ends a
    bottleneck is small, or the sums of 33 blocks would grow a millionfold. A time embedding is no table but two linear layers.
    """
    *_, parent, last = ["", *name.split(".")]
    batch_norm = parent in ("bn1", "bn2", "bn3") or ".downsample.1." in name
    ends_bottleneck = parent == "bn3" and ".layer" in name
    if last == "logit_scale":
        return 4.6052, 0.0
    if last == "running_mean":
        return 0.0, 0.1
    if last == "running_var":
        return 1.0, 0.5
    if last == "weight" and len(shape) == 1:
        return (0.35 if ends_bottleneck else 1.0), 0.2
    if last.endswith("bias"):
        return (-0.2, 0.2) if batch_norm and not ends_bottleneck else (0.0, 0.1)
    if "embedding" in name and "patch_embedding" not in name and "time_embedding" not in name:
        return 0.0, 0.5
    if last in ("proj", "text_projection"):
        return 0.0, math.sqrt(3 / shape[0])
    return 0.0, math.sqrt((6 if len(shape) == 4 else 3) / math.prod(shape[1:]))


def tensor(name: str, shape: list[int]) -> np.ndarray:
    """The seeded tensor of that name and shape, f32."""
    offset, scale = spread(name, shape)
    values = uniform(name, math.prod(shape))
    values *= np.float32(scale)
    values += np.float32(offset)
    return values.reshape(shape)


def pixels(count: int, side: int) -> np.ndarray:
    """Pictures `[count, 3, side, side]` as a tower sees them: a colour, 4 x 4 fields of other colours, and some noise."""
    field = np.arange(side) * 4 // side
    colour = uniform("pixels.colour", count * 3).reshape(count, 3, 1, 1)
    fields = uniform("pixels.fields", count * 3 * 16).reshape(count, 3, 4, 4)[:, :, field][:, :, :, field]
    noise = uniform("pixels.noise", count * 3 * side * side).reshape(count, 3, side, side)
    return (colour + fields) + np.float32(0.25) * noise


def digest(inventory: dict[str, list[int]]) -> str:
    """SHA-256 of all seeded f32 tensors, little-endian, one after the other in the inventory's order."""
    state = hashlib.sha256()
    for name, shape in inventory.items():
        state.update(tensor(name, shape).tobytes())
    return state.hexdigest()
