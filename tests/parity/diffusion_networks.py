"""What diffusers' networks make of seeded weights and inputs, in f64. Maps are `[batch, height, width, channels]` here as in Rust."""

import hashlib
import math

import diffusers
import numpy as np
import torch

import seeded
from diffusion_models import FAINT, UNETS, VAES
from small_pipeline import fill

TIMESTEP, GUIDANCE, TOKENS, BATCH = 261.0, 7.5, 7, 2
# What is large is stored in part: every so-many-th number.
MOST = 1500


def values(name: str, shape: list[int]) -> torch.Tensor:
    """Seeded numbers of unit variance, f32."""
    return torch.from_numpy(seeded.uniform(name, math.prod(shape)) * np.float32(math.sqrt(3))).reshape(shape)


def turned(x: torch.Tensor) -> torch.Tensor:
    """Between `[batch, height, width, channels]` and diffusers' `[batch, channels, height, width]`: to the latter."""
    return x.permute(0, 3, 1, 2)


def back(x: torch.Tensor) -> torch.Tensor:
    """And from it."""
    return x.permute(0, 2, 3, 1)


def sampled(x: torch.Tensor) -> torch.Tensor:
    """Every so-many-th number of what is large, so that `MOST` are left at most; the step is odd, so that it meets all channels."""
    step = -(-x.numel() // MOST)
    return x.reshape(-1)[:: step + 1 - step % 2].float().contiguous()


def model(name: str, config: dict) -> tuple[torch.nn.Module, dict]:
    """The network with its seeded weights in f64, its config, and the SHA-256 of its tensors' names and shapes, a line each."""
    made = getattr(diffusers, config["_class_name"]).from_config(config)
    lines = sorted(f"{name} {shape}\n" for name, shape in fill(made).items())
    if name in FAINT:
        faint(made)
    described = {"config": config, "tensors": len(lines), "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}
    return made.double(), described | {"faint": name in FAINT}


@torch.no_grad()
def faint(made: torch.nn.Module) -> None:
    """Divides by 32 all that is no normalisation's, and not the last layers', so that variances are a thousandth of what they were."""
    for name, value in made.state_dict().items():
        if not any(kept in name for kept in ("norm", "conv_out", "quant_conv")):
            value /= 32


def checked(name: str, out: torch.Tensor) -> torch.Tensor:
    """Refuses what would prove little."""
    print(f"| {name} | {list(out.shape)} | {out.std():.2f} |", flush=True)
    assert 0.05 < out.std() < 100, "too tame or too wild to be a test"
    return sampled(out)


@torch.no_grad()
def unets() -> tuple[dict, dict]:
    described, tensors = {}, {}
    for name, (config, size) in UNETS.items():
        network, described[name] = model(name, config)
        described[name] |= {"size": size}
        x = turned(values("unet.latent", [BATCH, *size, 4])).double()
        text = values("unet.text", [BATCH, TOKENS, 24]).double()
        told = None
        if "time_cond_proj_dim" in config:
            # As StableDiffusionPipeline.get_guidance_scale_embedding, which is of the guidance less 1.
            told = diffusers.StableDiffusionPipeline.get_guidance_scale_embedding(
                None, torch.full([BATCH], GUIDANCE - 1), embedding_dim=config["time_cond_proj_dim"]
            ).double()
        out = network(x, TIMESTEP, text, timestep_cond=told).sample
        tensors[name] = checked(name, back(out))
        if name in FAINT:
            continue
        # What does not depend on its inputs proves nothing about them.
        for other in (network(x, TIMESTEP / 3, text, timestep_cond=told), network(x.flip(0), TIMESTEP, text, timestep_cond=told)):
            assert (other.sample - out).abs().max() > 1e-2 * out.std()
        if told is not None:
            assert (network(x, TIMESTEP, text, timestep_cond=told / 2).sample - out).abs().max() > 1e-2 * out.std()
        if any(kind.startswith("Cross") for kind in config["down_block_types"]):
            assert (network(x, TIMESTEP, text.flip(0), timestep_cond=told).sample - out).abs().max() > 1e-2 * out.std()
    return described, tensors


@torch.no_grad()
def vaes() -> tuple[dict, dict]:
    described, tensors = {}, {}
    for name, (config, size, tiled) in VAES.items():
        network, described[name] = model(name, config)
        described[name] |= {"size": size, "tiled": tiled}
        if tiled:
            network.enable_tiling()
        pixels = turned(values("vae.pixels", [1, *size, 3]) / math.sqrt(3)).double()
        encoded = network.encode(pixels)
        if config["_class_name"] == "AutoencoderTiny":
            latent = encoded.latents
        else:
            latent = encoded.latent_dist.mean
            tensors[f"{name}.log_variance"] = checked(f"{name}, logarithm of the variance", back(encoded.latent_dist.logvar))
        tensors[f"{name}.latent"] = checked(f"{name}, latent", back(latent))
        given = values("vae.latent", list(back(latent).shape))
        tensors[f"{name}.pixels"] = checked(f"{name}, pixels", back(network.decode(turned(given).double()).sample))
    return described, tensors
