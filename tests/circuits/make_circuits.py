"""A data set in the shape of LITE's circuits, drawn by a script: every label is known and nothing has to be downloaded.

    pip install schemdraw matplotlib pillow numpy        # written with 0.23, 3.11, 13.0, 2.4
    python tests/circuits/make_circuits.py OUT [--seed N] [--per-image M] [--test N] [--jobs N] [--sheet FILE.png]

Writes OUT/circuit-diagrams/, to be given as `--dataset circuits --root_path OUT`:

    split_config.json                             {"train"|"val"|"test": [[path, label, "label"], …]}; classes are numbers
    label_map.json                                {"0": "RC low-pass filter", …}
    data/NAME                                     the images, .png and .jpg
    data/label_preserving/STEM/K.png              the same topology redrawn in another style
    data/label_breaking/STEM/K.png                the topology changed, so that the label no longer holds
    data/label_breaking_view/STEM/K.png           the second view of the image of the same number K

A pair for the breaking loss is label_breaking/STEM/K.png and label_breaking_view/STEM/K.png: the same broken circuit redrawn in
another style, which stands in for a weak regeneration of the first.

Classes are as unequal as the benchmark's: five training images each but for some with fewer, some without validation or
test images, and test images that are mostly of a few classes. The same arguments give the same bytes.
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import random
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot
import numpy as np
import schemdraw
from PIL import Image, ImageFilter

from kinds import KINDS
from pen import Pen

NAMES = list(KINDS)
FEWER = {7: 4, 11: 2, 14: 3}  # training images of classes that have not five
WITHOUT_VAL = {2, 5, 9, 12, 15, 16, 17}
WITHOUT_TEST = {13}


def rng(*key):
    """A generator of its own for each key, so that no image depends on which others are drawn."""
    return random.Random(hashlib.sha256(repr(key).encode()).digest())


def draw(label, structure, style, broken=None):
    """One picture. The variant and the orientation come from `structure`, what breaks it from `broken`, the rest from `style`."""
    structure, style = rng("structure", *structure), rng("style", *style)
    quarter, mirrored = structure.choice([0, 0, 0, 1, 2, 3]), structure.random() < 0.2
    # A mirrored picture cannot have readable labels.
    labels = not mirrored and style.random() < 0.7
    dark = style.random() < 0.08
    colour = style.choice(["white", "lightyellow"]) if dark else style.choice(["black"] * 5 + ["navy", "darkgreen", "dimgray", "maroon"])
    paper = style.choice(["black", "midnightblue"]) if dark else style.choice(["white"] * 4 + ["ivory", "whitesmoke", "lightcyan", "beige"])
    schemdraw.elements.style(schemdraw.elements.STYLE_IEC if style.random() < 0.35 else schemdraw.elements.STYLE_IEEE)
    drawing = schemdraw.Drawing(show=False)
    drawing.config(lw=style.uniform(0.9, 3.2), fontsize=style.uniform(9, 15), color=colour, bgcolor=paper, margin=style.uniform(0.1, 0.8))
    pen = Pen(drawing, structure, style, labels, broken and rng("broken", *broken))
    KINDS[NAMES[label]](pen)
    pen.finish()
    image = Image.open(io.BytesIO(drawing.get_imagedata("png"))).convert("RGB")
    matplotlib.pyplot.close("all")
    return scanned(image, style, quarter, mirrored)


def scanned(image, style, quarter, mirrored):
    """The picture turned, resized and worn, as a scan or a screenshot would be."""
    paper = image.getpixel((0, 0))
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image
    image = image.rotate(90 * quarter, expand=True)
    image = image.rotate(style.gauss(0, 2.0), Image.Resampling.BICUBIC, expand=True, fillcolor=paper)
    scale = style.uniform(170, 420) / max(image.size)
    image = image.resize([max(24, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    if style.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(style.uniform(0.2, 0.9)))
    if style.random() < 0.4:
        image = image.convert("L").convert("RGB")
    noise = np.random.default_rng(style.getrandbits(64))
    pixels = np.asarray(image).astype(np.float32)
    pixels = (pixels - 128) * style.uniform(0.7, 1.0) + 128 + style.uniform(-12, 12)
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]] / max(pixels.shape)
    pixels += (style.uniform(-25, 25) * x + style.uniform(-25, 25) * y)[..., None]  # light falls from one side
    pixels += noise.normal(0, style.uniform(0, 9), pixels.shape[:2])[..., None]
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def split(seed, tests):
    """(list, label, number) of every image."""
    chance = rng("split", seed)
    out = []
    for label in range(len(NAMES)):
        out += [("train", label, i) for i in range(FEWER.get(label, 5))]
        out += [("val", label, i) for i in range(0 if label in WITHOUT_VAL else chance.choice([2, 4, 6]))]
    # A few classes make most of the test images, as in the benchmark, where the largest makes 18 %.
    weights = [0.0 if label in WITHOUT_TEST else 1.0 / (1 + rank) for rank, label in enumerate(chance.sample(range(len(NAMES)), len(NAMES)))]
    order = [label for _, label in sorted(zip(weights, range(len(NAMES))), reverse=True)]
    present = [label for label in order if label not in WITHOUT_TEST]
    shares = [1 / (rank + 2.5) for rank in range(len(present))]
    for label, share in zip(present, shares):
        out += [("test", label, i) for i in range(max(1, round(tests * share / sum(shares))))]
    return out


def make(job):
    """Draws one image of the split and, for a training image, what is generated from it. Returns its entry."""
    folder, seed, per_image, part, label, number = job
    key = (seed, part, label, number)
    suffix = rng("suffix", *key).choice([".png", ".png", ".jpg"])
    # Numbers that tell nothing of the class.
    stem = hashlib.sha256(repr(key).encode()).hexdigest()[:10]
    image = draw(label, key, key)
    image.save(folder / f"{stem}{suffix}", **({"quality": 85} if suffix == ".jpg" else {}))
    for k in range(per_image if part == "train" else 0):
        broken = (*key, k)
        views = {
            "label_preserving": draw(label, key, (*key, "preserving", k)),
            "label_breaking": draw(label, key, (*key, "breaking", k), broken),
            "label_breaking_view": draw(label, key, (*key, "view", k), broken),
        }
        for kind, view in views.items():
            (folder / kind / stem).mkdir(parents=True, exist_ok=True)
            view.save(folder / kind / stem / f"{k}.png")
    return part, [f"{stem}{suffix}", label, str(label)]


def sheet(path, seed):
    """A look at all kinds: three images of each, then one kept, one broken and its second view."""
    side, columns = 200, 6
    page = Image.new("RGB", (side * columns, side * len(NAMES)), "gray")
    for label in range(len(NAMES)):
        keys = [(seed, "train", label, i) for i in range(3)]
        one = keys[0]
        row = [draw(label, key, key) for key in keys]
        row += [draw(label, one, (*one, "preserving", 0))]
        row += [draw(label, one, (*one, kind, 0), (*one, 0)) for kind in ("breaking", "view")]
        for column, image in enumerate(row):
            image.thumbnail((side - 6, side - 6))
            page.paste(image, (column * side + 3, label * side + 3))
    page.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-image", type=int, default=3, help="preserving and breaking images of each training image")
    parser.add_argument("--test", type=int, default=240, help="about how many test images")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="also draw an overview")
    arguments = parser.parse_args()
    if arguments.sheet:
        sheet(arguments.sheet, arguments.seed)
    root = arguments.out / "circuit-diagrams"
    (root / "data").mkdir(parents=True, exist_ok=True)
    jobs = [(root / "data", arguments.seed, arguments.per_image, *entry) for entry in split(arguments.seed, arguments.test)]
    with multiprocessing.Pool(arguments.jobs) as pool:
        entries = pool.map(make, jobs, chunksize=4)
    lists = {part: [entry for where, entry in entries if where == part] for part in ("train", "val", "test")}
    (root / "split_config.json").write_text(json.dumps(lists, indent=0) + "\n")
    (root / "label_map.json").write_text(json.dumps({str(i): name for i, name in enumerate(NAMES)}, indent=0) + "\n")
    print(", ".join(f"{len(entries)} {part}" for part, entries in lists.items()), "→", root)


if __name__ == "__main__":
    main()
