"""Expected features of CLIP's towers, by implementations that are not ours: transformers (HF layout) and open_clip.

    python tests/parity/towers.py [NAME...]        writes tests/parity/towers/NAME.json, prints a line of statistics each

Every model is filled with the seeded weights of seeded.py, whose names and shapes the file lists; nothing is downloaded.
Features are computed in f64 from the f32 (or rounded) weights, so that the reference has no rounding of its own; what
PyTorch's f32 loses against that is printed, as the measure of what another f32 implementation may lose.
"""

import hashlib
import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

import seeded
from architectures import ARCHITECTURES

OUT = Path(__file__).parent / "towers"
DEMO = Path(__file__).parent.parent.parent / "models" / "demo-clip"
START, END = 49406, 49407  # of CLIP's own vocabulary
CAPTIONS = [
    "",
    "a photo of a cat.",
    "a photo of an airplane.",
    "a centered satellite photo of annual crop land.",
    "a centered satellite photo of a river.",
    "a centered satellite photo of a highway or road.",
    "itap of a dog",
    "A Circuit Diagram of an amplifier!",
    "naïve café, 東京 🛰️",
    "forest " * 90,
]


# What embeddings are multiplied by for `faint`: a power of two, so that no implementation rounds.
FAINT = 2.0**-8

# Sizes that OpenAI's files carry beside the weights.
OPENAI_SCALARS = ("input_resolution", "context_length", "vocab_size")


class Towers:
    """Either implementation behind two calls."""

    def __init__(self, layout: str, config: dict):
        self.hf = layout == "hf"
        if self.hf:
            self.model = CLIPModel(CLIPConfig(**config)).eval()
            self.side = self.model.config.vision_config.image_size
            self.context = self.model.config.text_config.max_position_embeddings
            self.end = self.model.config.text_config.eos_token_id
            self.vocabulary = self.model.config.text_config.vocab_size
        else:
            cfg = {k: v for k, v in config.items() if k not in ("vision_cfg", "text_cfg")}
            self.model = open_clip.model.CLIP(vision_cfg=config["vision_cfg"], text_cfg=config["text_cfg"], **cfg).eval()
            self.side, self.context = config["vision_cfg"]["image_size"], config["text_cfg"]["context_length"]
            self.vocabulary = config["text_cfg"]["vocab_size"]
            self.end = self.vocabulary - 1

    def inventory(self, layout: str) -> dict[str, list[int]]:
        """Names and shapes of what a checkpoint of this layout holds."""
        shapes = {name: list(value.shape) for name, value in self.model.state_dict().items()}
        return shapes | ({name: [] for name in OPENAI_SCALARS} if layout == "openai" else {})

    @torch.no_grad()
    def fill(self, precision: str) -> None:
        """Seeded weights, rounded as a file of that precision holds them, in f32."""
        for name, value in self.model.state_dict().items():
            if not value.is_floating_point():
                continue
            new = torch.from_numpy(seeded.tensor(name, list(value.shape)))
            if precision == "bf16":
                new = new.bfloat16().float()
            elif precision == "f16" or (precision == "mixed" and not stays_f32(name)):
                new = new.half().float()
            value.copy_(new)

    @torch.no_grad()
    def image(self, pixels: torch.Tensor) -> torch.Tensor:
        """`[n, 3, side, side]` → projected features `[n, width]`, not normalised."""
        if self.hf:
            return self.model.visual_projection(self.model.vision_model(pixel_values=pixels).pooler_output)
        return self.model.encode_image(pixels)

    @torch.no_grad()
    def text(self, ids: torch.Tensor) -> torch.Tensor:
        """`[n, context]` → projected features `[n, width]`, not normalised."""
        if self.hf:
            return self.model.text_projection(self.model.text_model(input_ids=ids).pooler_output)
        return self.model.encode_text(ids)


def stays_f32(name: str) -> bool:
    """What OpenAI's half-precision checkpoints keep in f32."""
    return any(part in name for part in ("embedding", "ln_", "bn", "downsample.1", "logit_scale"))


def texts(towers: Towers) -> list[list[int]]:
    """Four texts: empty, short, half as long as fits, and filling the context. Start and end included, no padding."""
    start, top = (START, START) if towers.vocabulary == 49408 else (1, towers.vocabulary - 2)
    end = towers.vocabulary - 1 if towers.end == 2 else towers.end
    out = []
    for row, words in enumerate((0, 3, towers.context // 2, towers.context - 2)):
        draws = (seeded.uniform(f"texts.{row}", words).astype(np.float64) + 1) / 2
        ids = [3 + int(u * (top - 3)) for u in draws]
        out.append([start, *(i + 1 if i == end else i for i in ids), end])
    if towers.end == 2:
        out[2][1] = 2  # must not be taken for the end
    elif towers.end < towers.vocabulary - 1:
        out[3][1] = towers.vocabulary - 1  # nor must the largest id
    return out


def padded(texts: list[list[int]], context: int, pad: int) -> torch.Tensor:
    return torch.tensor([ids + [pad] * (context - len(ids)) for ids in texts])


def folded(inventory: dict[str, list[int]]) -> dict[str, list[int]]:
    """The inventory with one entry for the same tensor of all blocks: `blocks.{0..11}.ln_1.weight`."""
    runs: dict[tuple, list[int]] = {}
    for name, shape in inventory.items():
        match = re.fullmatch(r"(.*(?:layers|resblocks|layer\d)\.)(\d+)(\..*)", name)
        key = (match[1], match[3], tuple(shape)) if match else (name, None, tuple(shape))
        runs.setdefault(key, []).append(int(match[2]) if match else 0)
    out = {}
    for (head, tail, shape), blocks in runs.items():
        assert tail is None or blocks == list(range(blocks[0], blocks[-1] + 1)), (head, blocks)
        out[head if tail is None else f"{head}{{{blocks[0]}..{blocks[-1]}}}{tail}"] = list(shape)
    return out


def expanded(folded: dict[str, list[int]]) -> dict[str, list[int]]:
    """The inverse of `folded`, in the order of the file, which the digest follows."""
    out = {}
    for name, shape in folded.items():
        match = re.fullmatch(r"(.*)\{(\d+)\.\.(\d+)\}(.*)", name)
        for block in range(int(match[2]), int(match[3]) + 1) if match else [None]:
            out[name if block is None else f"{match[1]}{block}{match[4]}"] = shape
    return out


def rounded(features: torch.Tensor) -> list[list[float]]:
    return [[float(f"{x:.7g}") for x in row] for row in features.tolist()]


def likeness(features: torch.Tensor) -> float:
    """The largest cosine between two rows."""
    unit = torch.nn.functional.normalize(features, dim=-1)
    return (unit @ unit.T).fill_diagonal_(-1).max().item()


def off(actual: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest difference over the root mean square."""
    return ((actual.double() - exact).abs().max() / exact.square().mean().sqrt()).item()


def row(rough: torch.Tensor, exact: torch.Tensor) -> str:
    """Part of a line of the table in README.md."""
    return f"{exact.std():.2f} | {likeness(exact):.2f} | {off(rough, exact):.1e}"


def reference(name: str, layout: str, config: dict, precisions: list[str]) -> dict:
    """Everything that the Rust side needs to rebuild one model and check its features."""
    towers = Towers(layout, config)
    inventory = folded(towers.inventory(layout))
    floats = {k: v for k, v in expanded(inventory).items() if not is_integer(k)}
    ids, pad = texts(towers), 0 if layout != "hf" or towers.end == 2 else towers.end
    pixels, tokens = torch.from_numpy(seeded.pixels(2, towers.side)), padded(ids, towers.context, pad)
    expected = {}
    for precision in precisions:
        towers.fill(precision)
        if precision == "f32":
            began = time.perf_counter()
            image = towers.image(pixels)
            between = time.perf_counter()
            text = towers.text(tokens)
            seconds = between - began, time.perf_counter() - between
        towers.model.double()
        exact = towers.image(pixels.double()), towers.text(tokens)
        if precision == "f32":
            print(f"| {name} | {row(image, exact[0])} | {row(text, exact[1])} | {seconds[0]:.1f} + {seconds[1]:.1f} |", flush=True)
            for rough, features in zip((image, text), exact):
                assert 0.2 < features.std() < 50 and likeness(features) < 0.95, "too tame or too wild to be a test"
                assert off(rough, features) < 2e-5, "rounding alone comes too near the tolerance"
        towers.model.float()
        expected[precision] = {"image_features": rounded(exact[0]), "text_features": rounded(exact[1])}
    return {
        "layout": layout,
        "config": config,
        "image_size": towers.side,
        "context_length": towers.context,
        "pad": pad,
        "texts": ids,
        "tensors": inventory,
        "sha256": seeded.digest(floats),
        "expected": expected,
    }


def is_integer(name: str) -> bool:
    """The tensors of a checkpoint that are no weights: counters and sizes, i64 scalars."""
    return name in OPENAI_SCALARS or name.endswith("num_batches_tracked")


def demo() -> dict:
    """What demo-clip's trained weights make of nine seeded pictures, three satellite tiles and ten captions."""
    model = CLIPModel.from_pretrained(DEMO, dtype=torch.float32).double().eval()
    tokenizer = CLIPTokenizer.from_pretrained(DEMO)
    tiles = sorted((OUT / "tiles").glob("*.png"))
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    real = np.stack([((np.asarray(Image.open(tile)) / 255 - mean) / std).transpose(2, 0, 1) for tile in tiles])
    ids = [tokenizer(caption, truncation=True, max_length=77)["input_ids"] for caption in CAPTIONS]
    with torch.no_grad():
        towers = Towers.__new__(Towers)
        towers.hf, towers.model = True, model
        image = towers.image(torch.cat([torch.from_numpy(seeded.pixels(9, 64)).double(), torch.from_numpy(real)]))
        text = towers.text(padded(ids, 77, END))
    return {
        "image_size": 64,
        "context_length": 77,
        "pad": END,
        "seeded_images": 9,
        "tiles": [tile.name for tile in tiles],
        "captions": CAPTIONS,
        "texts": ids,
        "expected": {"image_features": rounded(image), "text_features": rounded(text)},
    }


@torch.no_grad()
def faint() -> dict:
    """A model of each layout whose tokens are so faint that a norm's epsilon decides what becomes of them."""
    expected = {}
    for name in ("tiny", "open-clip-vit", "openai-vit"):
        towers = Towers(*ARCHITECTURES[name][:2])
        ids, pad = texts(towers), 0 if not towers.hf or towers.end == 2 else towers.end
        pixels, tokens = torch.from_numpy(seeded.pixels(2, towers.side)).double(), padded(ids, towers.context, pad)
        towers.fill("f32")
        for key, value in towers.model.state_dict().items():
            if "embedding" in key or key == "visual.conv1.weight":
                value.mul_(FAINT)
        towers.model.double()
        exact = towers.image(pixels), towers.text(tokens)
        expected[name] = {"image_features": rounded(exact[0]), "text_features": rounded(exact[1])}
        norms = [module for module in towers.model.modules() if isinstance(module, torch.nn.LayerNorm)]
        assert norms and all(norm.eps == 1e-5 for norm in norms), "these models have the usual epsilon"
        for norm in norms:
            norm.eps = 1e-6
        mistaken = off(towers.image(pixels), exact[0]), off(towers.text(tokens), exact[1])
        print(f"faint {name}: an epsilon of 1e-6 would be off by {mistaken[0]:.1e} and {mistaken[1]:.1e}")
        assert min(mistaken) > 1e-2, "the epsilon hardly shows"
    return {"factor": FAINT, "expected": expected}


def samples() -> dict:
    """First numbers of some tensors as bit patterns, and pictures: what the generator itself is checked by."""
    shapes = {
        "logit_scale": [],
        "vision_model.embeddings.class_embedding": [64],
        "vision_model.embeddings.patch_embedding.weight": [64, 3, 8, 8],
        "vision_model.encoder.layers.1.layer_norm2.weight": [64],
        "vision_model.encoder.layers.1.mlp.fc1.weight": [256, 64],
        "vision_model.encoder.layers.1.mlp.fc1.bias": [256],
        "visual.proj": [64, 48],
        "visual.layer3.5.conv2.weight": [32, 32, 3, 3],
        "visual.layer3.5.bn3.weight": [128],
        "visual.layer3.5.bn3.bias": [128],
        "visual.layer3.5.bn2.bias": [32],
        "visual.layer3.5.bn2.running_mean": [32],
        "visual.layer3.5.bn2.running_var": [32],
        "visual.layer3.0.downsample.1.bias": [128],
    }

    def bits(values: np.ndarray) -> dict:
        first = torch.from_numpy(values.reshape(-1)[:4].copy())
        as_integers = {"f32": first.view(torch.int32), "f16": first.half().view(torch.int16), "bf16": first.bfloat16().view(torch.int16)}
        return {k: [i % 2 ** (32 if k == "f32" else 16) for i in v.tolist()] for k, v in as_integers.items()}

    return {
        "tensors": [{"name": k, "shape": v, "first": bits(seeded.tensor(k, v))} for k, v in shapes.items()],
        "pixels": {"count": 2, "side": 28, "sha256": hashlib.sha256(seeded.pixels(2, 28).tobytes()).hexdigest()},
    }


def write(name: str, value: dict) -> None:
    """One JSON file, one line for each of its first-level entries, so that a change shows where it is."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items()]
    (OUT / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    torch.manual_seed(0)
    wanted = sys.argv[1:] or [*ARCHITECTURES, "demo-clip", "faint", "samples"]
    for name in wanted:
        if name == "demo-clip":
            write(name, demo())
        elif name == "faint":
            write(name, faint())
        elif name == "samples":
            write(name, samples())
        else:
            write(name, reference(name, *ARCHITECTURES[name]))


if __name__ == "__main__":
    main()
