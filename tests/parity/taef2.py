"""Writes taef2.json: how near TAEF2 brings photos back, by PyTorch, in decibels.

    python tests/parity/taef2.py DATA        a folder with taef2/ and photos/

TAEF2 (MIT, madebyollin/taesd) is no model of diffusers', so its layers are spelled out here. Needs torch, safetensors, Pillow, numpy.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

HERE = Path(__file__).parent
# Side of the photos' middle, in pixels.
SIDE = 320


def conv(weights, name, x, **options):
    return F.conv2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), **options)


def block(weights, name, x):
    if f"{name}.pool.0.weight" in weights:
        norm = weights[f"{name}.pool.1.weight"], weights[f"{name}.pool.1.bias"]
        wide = F.relu(F.group_norm(conv(weights, f"{name}.pool.0", x), 4, *norm))
        x = x + conv(weights, f"{name}.pool.3", wide)
    y = x
    for layer in (0, 2, 4):
        y = conv(weights, f"{name}.conv.{layer}", y, padding=1)
        y = F.relu(y) if layer < 4 else y
    return F.relu(x + y)


def half(weights, x, layers, without):
    """Layers by number: blocks, convolutions, and `without` for what has no weights. Convolutions without bias halve in the encoder."""
    for layer in layers:
        if f"{layer}.conv.0.weight" in weights:
            x = block(weights, str(layer), x)
        elif f"{layer}.weight" in weights:
            halving = without is None and f"{layer}.bias" not in weights
            x = conv(weights, str(layer), x, padding=1, stride=2 if halving else 1)
        else:
            x = F.relu(x) if layer == 2 else without(x)
    return x


@torch.no_grad()
def main():
    data = Path(sys.argv[1])
    read = lambda name: {key: value.float() for key, value in load_file(data / "taef2" / f"taef2_{name}.safetensors").items()}
    encoder, decoder = read("encoder"), read("decoder")
    made = {}
    for path in sorted((data / "photos").glob("*.webp")):
        photo = Image.open(path).convert("RGB")
        left, top = (photo.width - SIDE) // 2, (photo.height - SIDE) // 2
        photo = photo.crop((left, top, left + SIDE, top + SIDE))
        x = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255
        latent = half(encoder, x, range(15), None)
        y = half(decoder, torch.tanh(latent / 3) * 3, range(1, 20), lambda x: F.interpolate(x, scale_factor=2)).clamp(0, 1)
        made[path.name] = round(-10 * torch.log10(((x - y) ** 2).mean()).item(), 3)
    (HERE / "taef2.json").write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
