"""From JPEG files to normalised tensors of 224 px: lowshot and torchvision on Pillow's pictures taking turns in one run.

    python benches/peers/preprocess.py [--rounds N] [--threads 1,2] [--json FILE]

Needs torch, torchvision, pillow and numpy. `tiles` are EuroSAT's samples of 64 px, `photos` the sample photos at 1920 × 1080, all of them
JPEG files (4:2:0, quality 90) in the system's cache. A case reads, decodes, resizes (bicubic), crops and normalises all of its files.

`torchvision + PIL` is what CLIP's own preprocessing does, and lowshot gives its pixels to the bit. `torchvision tensors` decodes by libjpeg-turbo
to tensors and resizes these, which differs from Pillow by some levels. Each uses as many threads as it is told, for a picture each.
"""

import pathlib
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor

import turns

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZE, TILES = 224, 128
# Of the numbers that come out, every so many are compared.
EVERY = 97


def write_pictures(folder):
    """The files that all read; returns how many there are of each kind."""
    from PIL import Image, ImageOps

    tiles = sorted((turns.ROOT / "samples/eurosat/2750").glob("*/*.jpg"))
    photos = sorted((turns.ROOT / "samples/photos").glob("*.webp"))
    (folder / "tiles").mkdir()
    (folder / "photos").mkdir()
    chosen = random.Random(1).sample(tiles, TILES)
    for path in chosen:
        (folder / "tiles" / path.name).write_bytes(path.read_bytes())
    for path in photos:
        photo = ImageOps.fit(Image.open(path).convert("RGB"), (1920, 1080), Image.Resampling.LANCZOS)
        photo.save(folder / "photos" / f"{path.stem}.jpg", quality=90)
    return {"tiles": len(chosen), "photos": len(photos)}


def with_pillow():
    from PIL import Image
    from torchvision import transforms

    steps = transforms.Compose([
        transforms.Resize(SIZE, interpolation=transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(SIZE),
        transforms.ToTensor(), transforms.Normalize(MEAN, STD),
    ])  # fmt: skip

    def prepare(path):
        with Image.open(path) as image:
            return steps(image.convert("RGB"))

    return prepare


def with_tensors():
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    from torchvision.transforms import v2

    steps = v2.Compose([
        v2.Resize(SIZE, interpolation=v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(SIZE),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD),
    ])  # fmt: skip
    return lambda path: steps(decode_jpeg(read_file(str(path)), mode=ImageReadMode.RGB))


PEERS = {"torchvision tensors": with_tensors, "torchvision + PIL": with_pillow}


def contestant(name, folder):
    import torch

    # The threads are the pictures'.
    torch.set_num_threads(1)
    prepare = PEERS[name]()
    paths = {kind: sorted((pathlib.Path(folder) / kind).iterdir()) for kind in ("tiles", "photos")}
    threads = turns.threads()
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    prepared = lambda kind: torch.stack(list(pool.map(prepare, paths[kind]) if pool else map(prepare, paths[kind])))

    def answer(line):
        if line.startswith("output "):
            return prepared(line.split()[1]).flatten()[::EVERY].tolist()
        return turns.milliseconds(lambda: prepared(line))

    return answer


def main():
    arguments = turns.parser(__doc__, rounds=9).parse_args()
    if arguments.contestant:
        return turns.serve(lambda: contestant(*arguments.contestant))
    contest = turns.Contest(arguments, __file__, "benches/peers/preprocess.py")
    ours = turns.built("preprocess", arguments.cargo)
    with tempfile.TemporaryDirectory() as folder:
        counts = write_pictures(pathlib.Path(folder))
        titles = {"tiles": "JPEG of 64 px to 224 px tensor", "photos": "JPEG of 1080p to 224 px tensor"}
        cases = [(titles[kind], kind, counts[kind], "ms a picture") for kind in counts]
        commands = {"lowshot": [ours, "--serve", folder], **{name: contest.peer(name, folder) for name in contest.chosen(PEERS)}}
        # A level is .007 of the largest number.
        contest.run(commands, cases, check=counts, tolerance=1e-6, tolerances={"torchvision tensors": 0.06})
    contest.end()


if __name__ == "__main__":
    main()
