"""A UNet's step on the CPU, and the operations it is made of: lowshot and diffusers on PyTorch taking turns in one run.

    python benches/peers/diffusion.py [--rounds N] [--operations] [--compile]

Needs torch, diffusers and safetensors. The network is Stable Diffusion 1.5's at half its width (160, 320, 640, 640 channels), on latents
of 32 × 32, two at a time as guidance has them, with a text of 77 tokens; 32-bit floats, random weights that all read from one file.
PyTorch runs as it is, with its maps in `channels_last` order, and with `--compile` by torch.compile as well, which takes minutes.
`--operations` measures single operations too, most of them with the sizes of Stable Diffusion 1.5 at 512 px.
"""

import tempfile

import turns

# As in benches/diffusion.rs.
BATCH, SIZE, TOKENS, CONTEXT, TIMESTEP = 2, 32, 77, 768, 500
CONFIG = {"block_out_channels": [160, 320, 640, 640], "cross_attention_dim": CONTEXT, "attention_head_dim": 8}
OPERATIONS = [
    "convolve 2 32 160 160 3 1", "convolve 2 16 320 320 3 1", "convolve 2 8 640 640 3 1", "convolve 2 64 320 320 3 1",
    "convolve 2 32 640 640 3 1", "convolve 2 16 2560 1280 3 1", "convolve 2 8 1280 1280 3 1", "convolve 2 32 640 640 3 2",
    "convolve 2 32 960 640 1 1", "double 2 16 1280 1280", "normalise 2 64 320", "attend 2 4096 0 8 40", "attend 2 1024 0 8 80",
    "attend 2 4096 77 8 40",
]  # fmt: skip


def model():
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(1)
    return UNet2DConditionModel(sample_size=SIZE, **CONFIG).eval()


def write_weights(path):
    """What both contestants read: weights, and a latent and a text to go with them."""
    import torch
    from safetensors.torch import save_file

    tensors = {name: value.contiguous() for name, value in model().state_dict().items()}
    tensors["benchmark.latent"] = torch.randn(BATCH, SIZE, SIZE, 4)
    tensors["benchmark.text"] = torch.randn(BATCH, TOKENS, CONTEXT)
    save_file(tensors, path)


def operation(kind, numbers, order):
    """One operation on random numbers, its maps in the memory order given."""
    import torch
    from torch.nn import functional

    order = {"memory_format": order}
    if kind in ("convolve", "double"):
        batch, size, inputs, outputs, filter, stride = [*numbers, 3, 1][:6]
        x = torch.randn(batch, inputs, size, size).contiguous(**order)
        weight, bias = (torch.randn(outputs, inputs, filter, filter) * 0.02).contiguous(**order), torch.randn(outputs)
        if kind == "double":
            return lambda: functional.conv2d(functional.interpolate(x, scale_factor=2.0, mode="nearest"), weight, bias, padding=1)
        return lambda: functional.conv2d(x, weight, bias, stride=stride, padding=filter // 2)
    if kind == "normalise":
        batch, size, channels = numbers
        x, gamma = torch.randn(batch, channels, size, size).contiguous(**order), torch.randn(channels)
        return lambda: functional.silu(functional.group_norm(x, 32, gamma, gamma))
    batch, tokens, others, heads, depth = numbers
    # As diffusers has them: views of [batch, tokens, width].
    part = lambda tokens: torch.randn(batch, tokens, heads, depth).transpose(1, 2)
    query, key, value = part(tokens), part(others or tokens), part(others or tokens)
    return lambda: functional.scaled_dot_product_attention(query, key, value)


def contestant(path, order="contiguous_format", compiled=False):
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(turns.threads())
    order = getattr(torch, order)
    tensors = load_file(path)
    latent = tensors.pop("benchmark.latent").permute(0, 3, 1, 2).contiguous(memory_format=order)
    text = tensors.pop("benchmark.text")
    unet = model()
    unet.load_state_dict(tensors)
    unet = unet.to(memory_format=order)
    forward = torch.compile(unet) if compiled else unet
    step = lambda: forward(latent, TIMESTEP, encoder_hidden_states=text, return_dict=False)[0]
    kept = {}

    def answer(line):
        with torch.inference_mode():
            if line == "output unet":
                return step().permute(0, 2, 3, 1).flatten()[::97].tolist()
            if line == "unet":
                return turns.milliseconds(step)
            if line not in kept:
                kind, *numbers = line.split()
                kept[line] = operation(kind, list(map(int, numbers)), order)
            return turns.milliseconds(kept[line])

    return answer


PEERS = {"PyTorch": {}, "PyTorch channels_last": {"order": "channels_last"}, "PyTorch compiled": {"compiled": True}}


def main():
    parser = turns.parser(__doc__, rounds=9)
    parser.add_argument("--operations", action="store_true", help="measure single operations too")
    parser.add_argument("--compile", action="store_true", help="let torch.compile take part; compiling takes minutes")
    arguments = parser.parse_args()
    if arguments.contestant:
        name, path = arguments.contestant
        return turns.serve(lambda: contestant(path, **PEERS[name]))

    contest = turns.Contest(arguments, __file__, "benches/peers/diffusion.py" + " --compile" * arguments.compile)
    ours = turns.built("diffusion", arguments.cargo)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/unet.safetensors"
        write_weights(path)
        peers = [name for name in contest.chosen(PEERS) if arguments.compile or name != "PyTorch compiled"]
        commands = lambda names: {"lowshot": [ours, "--serve", path], **{name: contest.peer(name, path) for name in names}}
        case = ("UNet step, SD 1.5 at half its width, 256 px, f32, batch 2", "unet", 1, "ms a step")
        contest.run(commands(peers), [case], check=["unet"], tolerance=1e-3, expected="PyTorch")
        if arguments.operations:
            # torch.compile has the network only.
            contest.run(commands([name for name in peers if name != "PyTorch compiled"]), [(line, line, 1, "ms") for line in OPERATIONS])
    contest.end()


if __name__ == "__main__":
    main()
