"""The networks that are checked: every block alone, every architecture that Stable Diffusion and its kin have, and every way to be unusual.

Configs are as files hold them: what is diffusers' default may be left out.
"""

def unet(attends: str, widths: list[int], heads, **more) -> dict:
    """A UNet whose stages attend to the text where `attends` has a `t` and not where it has a `-`."""
    return {
        "_class_name": "UNet2DConditionModel",
        "attention_head_dim": heads,
        "block_out_channels": widths,
        "cross_attention_dim": 24,
        "down_block_types": ["CrossAttnDownBlock2D" if stage == "t" else "DownBlock2D" for stage in attends],
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "sample_size": 8,
        "up_block_types": ["CrossAttnUpBlock2D" if stage == "t" else "UpBlock2D" for stage in reversed(attends)],
        **more,
    }


def vae(widths: list[int], **more) -> dict:
    """An autoencoder with a stage for each width."""
    return {
        "_class_name": "AutoencoderKL",
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "latent_channels": 4,
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        **more,
    }


NO_MIDDLE = {"mid_block_type": None}

# Networks whose weights are so small (see `faint`) that what normalisations add to variances shows.
FAINT = ["faint", "vae-faint"]

# name: (config, height and width of the latent)
UNETS = {
    # Each block alone, between the first and the last convolution.
    "residual blocks": (unet("-", [32], 4, **NO_MIDDLE), [8, 8]),
    "halving and doubling": (unet("--", [32, 64], 4, **NO_MIDDLE), [8, 8]),
    "attention blocks": (unet("t", [32], 4, **NO_MIDDLE), [8, 8]),
    "middle with attention": (unet("-", [32], 4), [8, 8]),
    "middle without": (unet("-", [32], 4, mid_block_type="UNetMidBlock2D"), [8, 8]),
    # Stable Diffusion 1: projections by convolutions, a number of heads for all stages.
    "sd1": (unet("ttt-", [32, 32, 64, 64], 4, layers_per_block=2, act_fn="silu", mid_block_scale_factor=1), [8, 8]),
    # Stable Diffusion 2 and Turbo: linear projections, a number of heads for each stage.
    "sd2": (
        unet(
            "ttt-",
            [32, 64, 64, 64],
            [2, 4, 8, 8],
            layers_per_block=2,
            use_linear_projection=True,
            upcast_attention=True,
            dual_cross_attention=False,
            only_cross_attention=False,
            num_class_embeds=None,
        ),
        [8, 8],
    ),
    # Latent consistency models: told the guidance.
    "lcm": (unet("t-", [32, 64], 4, time_cond_proj_dim=18), [8, 8]),
    # Distilled with fewer blocks (BK-SDM-Tiny): one layer a stage, nothing in the middle, three stages.
    "bk-sdm": (unet("ttt", [32, 64, 64], 4, **NO_MIDDLE), [8, 8]),
    # The text in the middle stages only.
    "plain ends": (unet("-t-", [32, 64, 64], 4), [8, 8]),
    # More transformer blocks: two in every stage, or other numbers for each.
    "deep": (unet("tt", [32, 64], 4, transformer_layers_per_block=2), [8, 8]),
    "deeper": (unet("tt", [32, 64], 4, transformer_layers_per_block=[1, 3], use_linear_projection=True), [8, 8]),
    # Everything that is seldom otherwise, on a map that cannot be halved without a rest.
    "odd": (
        unet(
            "t-t",
            [32, 48, 64],
            [2, 3, 4],
            center_input_sample=True,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            layers_per_block=[1, 2, 1],
            norm_eps=1e-3,
            norm_num_groups=16,
        ),
        [10, 7],
    ),
    "faint": (unet("tt", [32, 64], 4), [8, 8]),
}

# name: (config, height and width of the picture, whether in tiles)
VAES = {
    "vae-sd": (vae([16, 16, 32, 32], sample_size=64, scaling_factor=0.18215), [64, 64], False),
    "vae-plain": (
        vae(
            [16, 32],
            layers_per_block=2,
            mid_block_add_attention=False,
            use_quant_conv=False,
            use_post_quant_conv=False,
            scaling_factor=1.5,
            shift_factor=0.1,
            latent_channels=6,
        ),
        [24, 16],
        False,
    ),
    "vae-three": (vae([16, 32, 32], norm_num_groups=16), [32, 20], False),
    "vae-tiled": (vae([16, 16, 32], sample_size=32), [80, 52], True),
    "vae-faint": (vae([16, 32]), [16, 16], False),
    "vae-tiny": (
        {
            "_class_name": "AutoencoderTiny",
            "encoder_block_out_channels": [16, 16, 16],
            "decoder_block_out_channels": [16, 16, 16],
            "num_encoder_blocks": [1, 2, 3],
            "num_decoder_blocks": [3, 2, 1],
        },
        [32, 20],
        False,
    ),
}
