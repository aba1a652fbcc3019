"""The models that the towers are checked at: every layout, every way to be unusual, and the published sizes."""

def hf(vision: dict, text: dict, projection: int) -> dict:
    """A `config.json` of transformers' CLIPModel."""
    return {"model_type": "clip", "projection_dim": projection, "text_config": text, "vision_config": vision}


def sizes(width: int, layers: int, heads: int | None, act: str) -> dict:
    """What both halves of a `config.json` say, with CLIP's usual proportions."""
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads or width // 64,
        "intermediate_size": width * 4,
        "hidden_act": act,
    }


def vit(width: int, layers: int, patch: int, side: int, heads: int | None = None, act: str = "quick_gelu", **more) -> dict:
    """The vision half of a `config.json`."""
    return {**sizes(width, layers, heads, act), "patch_size": patch, "image_size": side, **more}


def text(width: int, layers: int, heads: int | None = None, act: str = "quick_gelu", **more) -> dict:
    """The text half of a `config.json`."""
    return {**sizes(width, layers, heads, act), "vocab_size": 49408, "eos_token_id": 49407, **more}


def oc(embed: int, vision: dict, text: dict, **more) -> dict:
    """The `model_cfg` of an `open_clip_config.json`."""
    return {"embed_dim": embed, **more, "vision_cfg": vision, "text_cfg": {"context_length": 77, "vocab_size": 49408, **text}}


TEXT_512 = {"width": 512, "heads": 8, "layers": 12}
RN50 = oc(1024, {"image_size": 224, "layers": [3, 4, 6, 3], "width": 64, "patch_size": None}, TEXT_512, quick_gelu=True)
RN101 = oc(512, {"image_size": 224, "layers": [3, 4, 23, 3], "width": 64, "patch_size": None}, TEXT_512, quick_gelu=True)
VIT_B_32 = oc(512, {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32}, TEXT_512, quick_gelu=True)

# name: (layout, config, precisions). `mixed` is OpenAI's own: matrices in f16, norms and embeddings in f32.
ARCHITECTURES = {
    "tiny": ("hf", hf(vit(64, 2, 8, 32, heads=2), text(64, 2, heads=2), 64), ["f32", "f16", "bf16"]),
    # Every size differs between the towers; the end of a text is where the largest id stands (eos_token_id 2).
    "odd": (
        "hf",
        hf(
            vit(96, 3, 7, 28, heads=3, act="gelu", layer_norm_eps=1e-3, intermediate_size=200),
            text(48, 2, heads=3, act="gelu", vocab_size=1000, max_position_embeddings=20, eos_token_id=2),
            40,
        ),
        ["f32"],
    ),
    # The end of a text is the first eos_token_id, though larger ids stand before it.
    "first-eos": (
        "hf",
        hf(vit(32, 1, 8, 16, heads=2), text(32, 1, heads=2, vocab_size=1000, max_position_embeddings=16, eos_token_id=900), 24),
        ["f32"],
    ),
    "tinyclip-8m": ("hf", hf(vit(256, 10, 16, 224, act="gelu"), text(256, 3, act="gelu"), 512), ["f32"]),
    # As newer files are written: only what differs from transformers' defaults, which are ViT-B/32's.
    "vit-b-32": ("hf", hf({}, {}, 512), ["f32"]),
    "vit-b-16": ("hf", hf(vit(768, 12, 16, 224), text(512, 12), 512), ["f32"]),
    "vit-l-14": ("hf", hf(vit(1024, 24, 14, 224), text(768, 12), 768), ["f32"]),
    "open-clip-vit": (
        "open_clip",
        oc(
            48,
            {"image_size": 32, "layers": 2, "width": 96, "head_width": 32, "patch_size": 8, "mlp_ratio": 3.0},
            {"context_length": 16, "vocab_size": 1000, "width": 64, "heads": 4, "layers": 2},
        ),
        ["f32"],
    ),
    "open-clip-vit-quickgelu": (
        "open_clip",
        oc(
            64,
            {"image_size": 32, "layers": 2, "width": 128, "patch_size": 8},
            {"width": 64, "heads": 1, "layers": 2},
            quick_gelu=True,
        ),
        ["f32"],
    ),
    "open-clip-resnet": (
        "open_clip",
        oc(
            64,
            {"image_size": 64, "layers": [1, 2, 1, 1], "width": 32, "patch_size": None},
            {"context_length": 16, "vocab_size": 1000, "width": 64, "heads": 1, "layers": 1},
        ),
        ["f32"],
    ),
    # No config at all: the sizes are read off the shapes, heads are 64 wide, QuickGELU.
    "openai-vit": (
        "openai",
        oc(96, {"image_size": 32, "layers": 2, "width": 128, "patch_size": 8}, {"width": 64, "heads": 1, "layers": 2}, quick_gelu=True),
        ["f32", "mixed"],
    ),
    "openai-resnet": (
        "openai",
        oc(
            64,
            {"image_size": 96, "layers": [1, 2, 1, 1], "width": 32, "patch_size": None},
            {"width": 64, "heads": 1, "layers": 1},
            quick_gelu=True,
        ),
        ["f32", "mixed"],
    ),
    "openai-vit-b-32": ("openai", VIT_B_32, ["f32"]),
    "openai-rn50": ("openai", RN50, ["f32"]),
    "openai-rn101": ("openai", RN101, ["f32"]),
}
