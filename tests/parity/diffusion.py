"""Reference values for Stable Diffusion, by an implementation that is not ours: diffusers.

    pip install diffusers transformers torch
    python tests/parity/diffusion.py [NAME...]      writes tests/parity/diffusion/NAME.{json,safetensors}
"""

import json
import sys
from pathlib import Path

from safetensors.torch import save_file

import diffusion_networks
import diffusion_pictures
import diffusion_schedules
import seeded
import small_pipeline

OUT = Path(__file__).parent / "diffusion"


def write(name: str, value: dict) -> None:
    """One JSON file, one line for each of its first-level entries, so that a change shows where it is."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items()]
    (OUT / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def pipeline(name: str) -> None:
    """A pipeline's configs, and the names and shapes of its weights, from which tests/support/pipeline.rs writes it."""
    configs = diffusion_pictures.PIPELINES[name]
    made = small_pipeline.pipeline(configs)
    index = json.loads(json.dumps(small_pipeline.INDEX))
    index["scheduler"][1] = configs["scheduler"]["_class_name"]
    reference = {"model_index": index, "scheduler": configs["scheduler"], "pad": configs["pad"]}
    for part in ("unet", "vae", "text_encoder"):
        tensors = small_pipeline.fill(getattr(made, part))
        reference[part] = {"config": configs[part], "tensors": tensors, "sha256": seeded.digest(tensors)}
    write(name, reference)


def schedules() -> None:
    """Every step of every scheduler. A config's infinity is written as diffusers writes it, which is not JSON, and so is text here."""
    described, tensors = diffusion_schedules.reference()
    write("schedules", {str(number): {**case, "config": json.dumps(case["config"])} for number, case in enumerate(described)})
    save_file(tensors, OUT / "schedules.safetensors")


def both(name: str, made: tuple[dict, dict]) -> None:
    described, tensors = made
    write(name, described)
    save_file(tensors, OUT / f"{name}.safetensors")


REFERENCES = {
    **{name: lambda name=name: pipeline(name) for name in diffusion_pictures.PIPELINES},
    "schedules": schedules,
    "unets": lambda: both("unets", diffusion_networks.unets()),
    "autoencoders": lambda: both("autoencoders", diffusion_networks.vaes()),
    "pictures": lambda: both("pictures", diffusion_pictures.pictures()),
}


def main() -> None:
    for name in sys.argv[1:] or REFERENCES:
        REFERENCES[name]()


if __name__ == "__main__":
    main()
