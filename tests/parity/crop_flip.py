"""torchvision's random resized crop, for the boxes and for their pixels.

    python tests/parity/crop_flip.py        # writes tests/parity/crop_flip.json and tests/parity/crops/*.webp

crop_flip.json: `boxes`, a list of [width, height, least scale, draws, [left, top, width, height]]: what
`RandomResizedCrop.get_params` makes of a picture of that size when its uniform numbers are those of seeded.py's sequence
`crop.INDEX` (mapped to [0, 1)), of which it takes `draws`; an integer below n is n times the number, rounded down. And
`crops`: file in crops/ → [picture in pictures/, box, size, mirrored].

crops/*.webp (lossless): the box cut out and resized with bicubic as torchvision does it on Pillow images (see resized_crop), then
mirrored or not.
"""

import json
import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as F

import seeded

HERE = Path(__file__).parent
SIZES = [(64, 64), (224, 224), (640, 480), (480, 640), (97, 61), (2048, 1365), (300, 90), (90, 400), (7, 9), (3, 4000), (1, 1)]
CROPS = [  # picture, box (left, top, width, height), size, mirrored
    ("png-rgb.png", (0, 0, 60, 47), 32, False),
    ("png-rgb.png", (10, 5, 31, 40), 32, False),
    ("png-rgb.png", (10, 5, 31, 40), 32, True),
    ("png-rgb.png", (59, 46, 1, 1), 32, False),
    ("png-rgb.png", (3, 9, 32, 32), 32, True),  # nothing to resize
    ("png-rgb.png", (3, 9, 32, 20), 32, False),  # nothing to resize in one direction
    ("png-64x64.png", (20, 0, 44, 58), 64, False),
    ("png-64x64.png", (0, 0, 64, 64), 64, True),
    ("png-65x67.png", (1, 1, 63, 66), 32, False),
    ("png-3x4000.png", (0, 1998, 3, 4), 32, False),
    ("png-4000x3.png", (900, 0, 2000, 3), 32, True),
    ("png-4000x3.png", (0, 0, 4000, 3), 32, False),
]


def box(index, size, scale):
    """torchvision's own method, its random numbers replaced."""
    numbers = iter((seeded.uniform(f"crop.{index}", 64).astype(np.float64) + 1) / 2)
    taken = 0

    def draw():
        nonlocal taken
        taken += 1
        return next(numbers)

    uniform = lambda tensor, low, high: tensor.fill_(float(low) + (float(high) - float(low)) * draw())
    randint = lambda low, high, size: torch.tensor([low + int((high - low) * draw())])
    with patch.object(torch.Tensor, "uniform_", uniform), patch.object(torch, "randint", randint):
        top, left, height, width = RandomResizedCrop.get_params(Image.new("RGB", size), [scale, 1.0], [3 / 4, 4 / 3])
    return [*size, scale, taken, [left, top, width, height]]


def resized_crop(image, box, size):
    """The box cut out and resized, rows first: the only order that Pillow had before 13, and the one that this crate has.

    Since 13 (python-pillow/Pillow#9549) columns come first where the height loses more than twice as many pixels as the width;
    a resize in one direction at a time gives the same bytes in every version. torchvision must agree wherever the order does.
    """
    left, top, width, height = box
    part = image.crop((left, top, left + width, top + height))
    resized = part.resize((size, height), Image.Resampling.BICUBIC).resize((size, size), Image.Resampling.BICUBIC)
    if height - size <= 2 * max(width - size, 0):
        theirs = F.resized_crop(image, top, left, height, width, [size, size], InterpolationMode.BICUBIC)
        assert theirs.tobytes() == resized.tobytes(), box
    return resized


def main():
    boxes = [box(i, SIZES[i % len(SIZES)], 0.08 if i % 3 else 0.5) for i in range(330)]
    # Two numbers a try and two for the place: 4 fits at once, 6 at the second try, 20 never.
    assert {4, 6, 20} <= {taken for _, _, _, taken, _ in boxes}
    shutil.rmtree(HERE / "crops", ignore_errors=True)
    (HERE / "crops").mkdir()
    crops = {}
    for index, (name, (left, top, width, height), size, mirrored) in enumerate(CROPS):
        image = Image.open(HERE / "pictures" / name).convert("RGB")
        image = resized_crop(image, (left, top, width, height), size)
        image = F.hflip(image) if mirrored else image
        image.save(HERE / "crops" / f"{index}.webp", lossless=True, quality=100, method=6)
        crops[f"{index}.webp"] = [name, [left, top, width, height], size, mirrored]
    rows = ",\n".join(json.dumps(row) for row in boxes)
    lines = [f'"boxes": [\n{rows}\n]', f'"crops": {json.dumps(crops)}']
    (HERE / "crop_flip.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
