"""Reference values for Stable Diffusion, by an implementation that is not ours: diffusers.

    pip install diffusers transformers torch
    python tests/parity/diffusion.py [NAME...]      writes tests/parity/diffusion/NAME.{json,safetensors}
"""

import json
import sys
from pathlib import Path

import seeded
import small_pipeline

OUT = Path(__file__).parent / "diffusion"


def write(name: str, value: dict) -> None:
    """One JSON file, one line for each of its first-level entries, so that a change shows where it is."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items()]
    (OUT / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def small() -> None:
    """The small pipeline's configs, and the names and shapes of its weights, from which tests/support/pipeline.rs writes it."""
    made = small_pipeline.pipeline()
    parts = {
        "unet": (made.unet, small_pipeline.UNET),
        "vae": (made.vae, small_pipeline.VAE),
        "text_encoder": (made.text_encoder, small_pipeline.TEXT),
    }
    reference = {"model_index": small_pipeline.INDEX, "scheduler": small_pipeline.SCHEDULER}
    for name, (model, config) in parts.items():
        tensors = small_pipeline.fill(model)
        reference[name] = {"config": config, "tensors": tensors, "sha256": seeded.digest(tensors)}
    write("small-pipeline", reference)


REFERENCES = {"small-pipeline": small}


def main() -> None:
    for name in sys.argv[1:] or REFERENCES:
        REFERENCES[name]()


if __name__ == "__main__":
    main()
