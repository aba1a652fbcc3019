"""What diffusers' pipelines make of a picture, from a folder's configs to pixels, with given noise.

They run in f32 like the real ones. The noise is seeded (`noise.0`, `noise.1`, … in the order in which it is drawn): that of the
latent, that of the first step, and what the steps add.
"""

import contextlib
from pathlib import Path
from unittest import mock

import diffusers
import torch
from PIL import Image

from diffusion_networks import back, checked, turned, values
from diffusion_schedules import CLASSES, LCM, SD2, TURBO
from small_pipeline import SMALL, TEXT, UNET, VAE, pipeline

TILES = Path(__file__).parent / "towers" / "tiles"
PIPELINES = {
    # Stable Diffusion 1.
    "small-pipeline": SMALL,
    # Stable Diffusion 2.1: OpenCLIP's text encoder without its last block, padded with token 0; linear projections, heads for each
    # stage; it predicts velocities. An autoencoder of factor 4.
    "sd2-pipeline": {
        "unet": {
            **UNET,
            "attention_head_dim": [2, 4, 8],
            "block_out_channels": [32, 32, 64],
            "cross_attention_dim": 48,
            "sample_size": 16,
            "upcast_attention": True,
            "use_linear_projection": True,
        },
        "vae": {
            **VAE,
            "block_out_channels": [16, 32, 32],
            "down_block_types": ["DownEncoderBlock2D"] * 3,
            "up_block_types": ["UpDecoderBlock2D"] * 3,
        },
        "text_encoder": {
            **TEXT,
            "hidden_act": "gelu",
            "hidden_size": 48,
            "intermediate_size": 192,
            "num_attention_heads": 3,
            "num_hidden_layers": 3,
            "projection_dim": 64,
        },
        "scheduler": SD2,
        "pad": "!",
    },
    # A latent consistency model: the UNet is told the guidance.
    "lcm-pipeline": {**SMALL, "unet": {**UNET, "time_cond_proj_dim": 16}, "scheduler": LCM},
}
PROMPT = "a centered satellite photo of a river."


def case(pipeline: str, steps: int, strength: float, guidance: float = 5.0, **more) -> dict:
    return {
        "pipeline": pipeline,
        "steps": steps,
        "strength": strength,
        "guidance": guidance,
        "prompt": PROMPT,
        "negative": "",
        "crop": [64, 64],
        **more,
    }


CASES = {
    "pndm": case("small-pipeline", 10, 0.5),
    "ddim": case("small-pipeline", 50, 0.3, scheduler="ddim", negative="blurry, low quality"),
    "breaking": case("small-pipeline", 50, 0.6, scheduler="ddim"),
    "euler": case("small-pipeline", 8, 0.6, 7.5, scheduler="euler"),
    "euler-ancestral": case("small-pipeline", 6, 0.7, scheduler="euler-ancestral"),
    "dpm++2m": case("small-pipeline", 10, 0.8, scheduler="dpm++2m", prompt="forest " * 90),
    "no guidance": case("small-pipeline", 10, 0.6, 1.0, scheduler="ddim"),
    # Sides that are no multiples of 8, and latents that cannot be halved without a rest.
    "cropped": case("small-pipeline", 8, 0.5, scheduler="ddim", crop=[61, 45]),
    # Stable Diffusion Turbo's scheduler, and its use: two steps, without guidance.
    "turbo": case("small-pipeline", 2, 0.5, 0.0, config=TURBO),
    "sd2": case("sd2-pipeline", 10, 0.6, negative="a drawing"),
    "sd2 with euler": case("sd2-pipeline", 10, 0.5, scheduler="euler"),
    "lcm": case("lcm-pipeline", 4, 0.75, 7.5),
}


@contextlib.contextmanager
def given_noise(scheduler):
    """Every random number is the next of the given noise."""
    drawn = iter(range(1000))

    def next_noise(shape, **_):
        batch, channels, height, width = shape
        return turned(values(f"noise.{next(drawn)}", [batch, height, width, channels])).contiguous()

    modules = [
        diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img,
        diffusers.models.autoencoders.vae,
        __import__(type(scheduler).__module__, fromlist=["_"]),
    ]
    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.enter_context(mock.patch.object(module, "randn_tensor", lambda shape, *_, **__: next_noise(shape), create=True))
        yield


def run(made, picture: Image.Image, wanted: dict) -> torch.Tensor:
    """The final latents."""
    with given_noise(made.scheduler):
        return made(
            prompt=wanted["prompt"],
            image=picture,
            strength=wanted["strength"],
            num_inference_steps=wanted["steps"],
            guidance_scale=wanted["guidance"],
            negative_prompt=wanted["negative"],
            output_type="latent",
        ).images


@torch.no_grad()
def pictures() -> tuple[dict, dict]:
    described, tensors = {}, {}
    tile = sorted(TILES.glob("*.png"))[0]
    for name, wanted in CASES.items():
        made = pipeline(PIPELINES[wanted["pipeline"]])
        made.set_progress_bar_config(disable=True)
        if config := wanted.get("config"):
            made.scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
        elif kind := wanted.get("scheduler"):
            made.scheduler = getattr(diffusers, CLASSES[kind]).from_config(made.scheduler.config)
        picture = Image.open(tile).convert("RGB").crop((0, 0, *wanted["crop"]))
        latents = run(made, picture, wanted)
        other = run(made, picture, {**wanted, "prompt": "a dog", "negative": "a cat"})
        assert (other - latents).abs().max() > 3e-3 * latents.std(), "the prompt must matter"
        pixels = made.vae.decode(latents / made.vae.config.scaling_factor).sample
        described[name] = {**wanted, "picture": tile.name, "shape": list(back(latents).shape)[1:]}
        tensors[f"{name}.latents"] = checked(f"{name}, latents", back(latents))
        tensors[f"{name}.pixels"] = checked(f"{name}, pixels", back(pixels))
    return described, tensors
