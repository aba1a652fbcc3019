"""A small Stable Diffusion pipeline with seeded weights, as diffusers saves one: for trying things out, not for pictures.

    pip install diffusers transformers torch
    python tests/parity/small_pipeline.py OUT [--fp16]        writes the folder OUT (--fp16: the variant `fp16`, in f16)

It has the shape of Stable Diffusion 1.x in every part (CLIP's tokenizer and text encoder, an autoencoder of factor 8, a UNet with
cross-attention, PNDM), a thousandth of its size, and weights from their names alone (seeded.py). So what it draws means nothing, and is the
same everywhere. `tests/support/pipeline.rs` writes the same folder for the tests, without Python.
"""

import sys
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, StableDiffusionImg2ImgPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import seeded

DEMO = Path(__file__).parent.parent.parent / "models" / "demo-clip"

UNET = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": 4,
    "block_out_channels": [32, 32, 64],
    "center_input_sample": False,
    "cross_attention_dim": 32,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 8,
    "out_channels": 4,
    "sample_size": 8,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
}
VAE = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [16, 16, 32, 32],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "out_channels": 3,
    "sample_size": 64,
    "scaling_factor": 0.18215,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TEXT = {
    "architectures": ["CLIPTextModel"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "pad_token_id": 1,
    "projection_dim": 32,
    "vocab_size": 49408,
}
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}

# The configs of every part, and what fills a text up to its context.
SMALL = {"unet": UNET, "vae": VAE, "text_encoder": TEXT, "scheduler": SCHEDULER, "pad": "<|endoftext|>"}


def names(model: torch.nn.Module) -> dict[str, str]:
    """What each of the model's tensors is called in a file: transformers leaves out `text_model.` inside a text encoder since 5.0."""
    prefix = "text_model." if isinstance(model, CLIPTextModel) else ""
    return {own: own if own.startswith(prefix) else prefix + own for own in model.state_dict()}


@torch.no_grad()
def fill(model: torch.nn.Module) -> dict[str, list[int]]:
    """Gives a model its seeded weights; names and shapes as a file has them."""
    state, inventory = model.state_dict(), {}
    for own, name in names(model).items():
        if state[own].is_floating_point():
            state[own].copy_(torch.from_numpy(seeded.tensor(name, list(state[own].shape))))
            inventory[name] = list(state[own].shape)
    model.eval()
    return inventory


def pipeline(configs: dict = SMALL) -> StableDiffusionImg2ImgPipeline:
    """The whole pipeline."""
    parts = {
        "unet": UNet2DConditionModel.from_config(configs["unet"]),
        "vae": AutoencoderKL.from_config(configs["vae"]),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])),
    }
    for part in parts.values():
        fill(part)
    return StableDiffusionImg2ImgPipeline(
        **parts,
        tokenizer=CLIPTokenizer.from_pretrained(DEMO, pad_token=configs["pad"]),
        scheduler=getattr(diffusers, configs["scheduler"]["_class_name"]).from_config(configs["scheduler"]),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def main() -> None:
    out, *flags = sys.argv[1:]
    made = pipeline()
    if flags == ["--fp16"]:
        made.to(torch.float16).save_pretrained(out, variant="fp16")
    else:
        made.save_pretrained(out)
    print(f"{out}: {sum(p.numel() for p in made.unet.parameters()):,} weights in the UNet")


if __name__ == "__main__":
    main()
