"""Adapters that PEFT wrote, as fixtures for the import, and the proof that PEFT loads what the export wrote.

    python tests/parity/peft_files.py                 # writes tests/parity/peft/CASE/*
    cargo test --release --test peft            # leaves exports in target/tmp/peft
    python tests/parity/peft_files.py check FOLDER    # loads each of them with PEFT, compares features to 1e-4

All on demo-clip. A fixture is PEFT's two files as `save_pretrained` leaves them (only the path of the base model is shortened), with
seeded numbers in place of training, and `expected.json`: unit features, in f64, of the first pictures of seeded.py and of some
captions. An export is PEFT's two files beside a `features.safetensors`: the features that this crate computes for the same inputs.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import CLIPModel, CLIPTokenizer

import seeded

ROOT = Path(__file__).parent.parent.parent
OUT, DEMO = Path(__file__).parent / "peft", ROOT / "models" / "demo-clip"
PICTURES, SIDE = 4, 64
CAPTIONS = ["a photo of a cat.", "a centered satellite photo of a river.", "a circuit diagram of an amplifier.", "forest"]
CASES = {
    # LoRA with every bias: names of wrapped and of free biases differ.
    "lora+bitfit": LoraConfig(r=2, lora_alpha=1, lora_dropout=0.25, use_rslora=True, bias="all", target_modules=["q_proj", "v_proj"]),
    # The last three of the six image blocks, all projections, the other scaling.
    "lora-vision-up": LoraConfig(
        r=4, lora_alpha=8, bias="none", target_modules=r"vision_model\.encoder\.layers\.[345]\.self_attn\.(q|k|v|out)_proj"
    ),
}


def base():
    return CLIPModel.from_pretrained(DEMO, dtype=torch.float32).eval()


@torch.no_grad()
def features(model):
    """Unit features of the pictures and the captions, in f64."""
    model = model.double().eval()
    model = model.get_base_model() if isinstance(model, PeftModel) else model
    tokenizer = CLIPTokenizer.from_pretrained(DEMO)
    ids = tokenizer(CAPTIONS, padding="max_length", max_length=77, return_tensors="pt")["input_ids"]
    pixels = torch.from_numpy(seeded.pixels(PICTURES, SIDE)).double()
    image = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    text = model.text_projection(model.text_model(input_ids=ids).pooler_output)
    return [torch.nn.functional.normalize(x, dim=-1) for x in (image, text)]


@torch.no_grad()
def fixture(name, config):
    wrapped = get_peft_model(base(), config)
    for key, value in wrapped.named_parameters():
        if value.requires_grad:
            noise = torch.from_numpy(seeded.uniform(f"peft.{key}", value.numel()).reshape(value.shape))
            if key.endswith("bias"):
                value += 0.1 * noise
            else:
                value.copy_(noise * np.float32((3 / value.shape[1]) ** 0.5 if "lora_A" in key else 0.3))
    wrapped.peft_config["default"].base_model_name_or_path = "demo-clip"
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    wrapped.save_pretrained(folder)
    (folder / "README.md").unlink()
    image, text = features(wrapped)
    plain_image, plain_text = features(base())
    for new, old in ((image, plain_image), (text, plain_text)):
        print(f"{name}: cosine to the base model {(new * old).sum(-1).min():.3f} … {(new * old).sum(-1).max():.3f}")
    rows = lambda x: [[float(f"{v:.7g}") for v in row] for row in x.tolist()]
    lines = {"pictures": PICTURES, "side": SIDE, "captions": CAPTIONS, "image_features": rows(image), "text_features": rows(text)}
    text = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in lines.items())
    (folder / "expected.json").write_text("{\n" + text + "\n}\n")


def check(folder):
    """Loads an export with PEFT, onto a base model of its own, and compares the features."""
    problems = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        wrapped = PeftModel.from_pretrained(base(), folder)
        problems += [str(w.message) for w in said if "adapter" in str(w.message).lower()]
    stored = {key.removeprefix("base_model.model.") for key in load_file(folder / "adapter_model.safetensors")}
    loaded = {key.removeprefix("base_model.model.").replace(".default", "") for key in wrapped.state_dict()}
    problems += [f"PEFT has no place for {key}" for key in sorted(stored - loaded)]
    pairs = {key for key in loaded if ".lora_" in key}
    problems += [f"PEFT made a pair that is not stored: {key}" for key in sorted(pairs - stored)]
    ours = load_file(folder / "features.safetensors")
    image, text = features(wrapped)
    off = [(ours[key].double() - x).abs().max().item() for key, x in (("image_features", image), ("text_features", text))]
    merged = features(wrapped.merge_and_unload())
    off += [(a - b).abs().max().item() for a, b in zip(merged, (image, text))]
    print(f"{folder.name}: image off by {off[0]:.1e}, text by {off[1]:.1e}; merging in PEFT moves them by {max(off[2:]):.1e}")
    return problems + ([f"features differ by {max(off):.1e}"] if not max(off) < 1e-4 else [])


def main():
    if sys.argv[1:2] == ["check"]:
        folders = sorted(path.parent for path in Path(sys.argv[2]).glob("*/adapter_config.json"))
        problems = [f"{folder.name}: {problem}" for folder in folders for problem in check(folder)]
        sys.exit("\n".join(problems) if problems else None if folders else "no exports there")
    for name, config in CASES.items():
        fixture(name, config)


if __name__ == "__main__":
    main()
