"""Features of pictures and texts on the CPU: lowshot, PyTorch, ONNX Runtime and candle taking turns in one run.

    python benches/peers/features.py [--models ViT-B/16,ViT-B/32] [--precisions f32,bf16] [--peers NAME,…] [--rounds N]

Needs torch, transformers, onnx, onnxruntime and onnxscript, and builds candle's peer with Cargo (`--peers` leaves out what is not there).
Weights are random, in CLIP's shape as transformers writes it, and all read the same file. Texts are prompts of eight tokens, which
none of them pads to 77. In bf16 only lowshot and PyTorch compute on a CPU.

`PyTorch compiled` is torch.compile with frozen weights, for just these sizes: PyTorch as one would tune it.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import turns

SIZE, BATCHES, PROMPT, VOCABULARY = 224, (1, 8), 8, 49408
PATCHES = {"ViT-B/16": 16, "ViT-B/32": 32}
# bf16 has eight bits, and there are twelve blocks for the errors to grow in.
TOLERANCES = {"f32": 1e-4, "bf16": 0.05}


def write_model(folder, patch, exports=()):
    """A model in transformers' layout, and inputs to go with it; for ONNX Runtime those towers that it is to be exported."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(1)
    size = lambda width: {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": 12, "num_attention_heads": width // 64,
        "hidden_act": "quick_gelu",
    }  # fmt: skip
    config = CLIPConfig(
        vision_config={**size(768), "image_size": SIZE, "patch_size": patch},
        text_config={**size(512), "vocab_size": VOCABULARY, "eos_token_id": VOCABULARY - 1}, projection_dim=512,
    )  # fmt: skip
    model = CLIPModel(config).eval()
    # Biases and norms that are all 0 and 1 would hide mistakes.
    for name, value in model.named_parameters():
        if value.dim() == 1 and "embedding" not in name:
            torch.nn.init.normal_(value, mean=float("norm" in name and "weight" in name), std=0.02)
    model.save_pretrained(folder)
    texts = torch.randint(1000, 40000, (10, PROMPT))
    texts[:, 0], texts[:, -1] = VOCABULARY - 2, VOCABULARY - 1
    inputs = {"images": torch.randn(max(BATCHES), 3, SIZE, SIZE), "texts": texts.int()}
    save_file(inputs, f"{folder}/inputs.safetensors")
    for what in exports:
        tower = towers(model)[what].eval()
        torch.onnx.export(
            tower, (inputs[what][:2].long() if what == "texts" else inputs[what][:2],), f"{folder}/{what}.onnx", input_names=["inputs"],
            output_names=["features"], dynamic_shapes={"inputs": {0: "batch"}}, dynamo=True, verbose=False,
        )  # fmt: skip


def towers(model):
    """The two towers as modules, from inputs to features that are not of unit length yet."""
    import torch

    class Images(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tower, self.projection = model.vision_model, model.visual_projection

        def forward(self, inputs):
            return self.projection(self.tower(pixel_values=inputs).pooler_output)

    class Texts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tower, self.projection = model.text_model, model.text_projection

        def forward(self, inputs):
            return self.projection(self.tower(input_ids=inputs).pooler_output)

    return {"images": Images(), "texts": Texts()}


def pytorch(folder, precision, compiled=False):
    import torch
    from safetensors.torch import load_file
    from transformers import CLIPModel

    torch.set_num_threads(turns.threads())
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = CLIPModel.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()
    inputs = load_file(f"{folder}/inputs.safetensors")
    inputs["texts"] = inputs["texts"].long()
    forward = towers(model)
    if compiled:
        import torch._inductor.config

        torch._inductor.config.freezing = True
        forward = {what: torch.compile(tower, dynamic=False) for what, tower in forward.items()}

    def features(what, batch):
        with torch.no_grad():
            given = inputs[what][:batch]
            return forward[what](given.to(dtype) if what == "images" else given).float()

    return features


def onnxruntime(folder, precision):
    import onnxruntime
    from safetensors.numpy import load_file

    inputs = load_file(f"{folder}/inputs.safetensors")
    inputs["texts"] = inputs["texts"].astype("int64")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = turns.threads()
    session = lambda what: onnxruntime.InferenceSession(f"{folder}/{what}.onnx", options, providers=["CPUExecutionProvider"])
    sessions = {what: session(what) for what in ("images", "texts")}
    return lambda what, batch: sessions[what].run(None, {"inputs": inputs[what][:batch]})[0]


PEERS = {
    "PyTorch": pytorch, "PyTorch compiled": lambda *given: pytorch(*given, compiled=True), "ONNX Runtime": onnxruntime,
}  # fmt: skip
CANDLE = "candle"
COMPUTE_IN_BF16 = ("PyTorch", "PyTorch compiled")


def contestant(name, folder, precision):
    features = PEERS[name](folder, precision)

    def answer(line):
        what, batch = line.removeprefix("output ").split()
        if line.startswith("output "):
            return features(what, int(batch)).flatten().tolist()
        return turns.milliseconds(lambda: features(what, int(batch)))

    return answer


def built_candle():
    folder = pathlib.Path(__file__).parent / "candle"
    command = ["cargo", "build", "--release", "--locked", "--message-format", "json-render-diagnostics"]
    # With the crate's own build, so that its folder stays as it was committed.
    output = subprocess.run([*command, "--target-dir", turns.ROOT / "target/peers"], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in output.stdout.splitlines() if line.startswith("{")]
    return next(message["executable"] for message in messages if message.get("executable"))


def main():
    names = lambda text: text.split(",")
    parser = turns.parser(__doc__, rounds=9)
    parser.add_argument("--models", type=names, default=list(PATCHES), metavar="NAME,…")
    parser.add_argument("--precisions", type=names, default=["f32", "bf16"], metavar="NAME,…")
    arguments = parser.parse_args()
    if arguments.contestant:
        return turns.serve(lambda: contestant(*arguments.contestant))
    contest = turns.Contest(arguments, __file__, "benches/peers/features.py")
    chosen = contest.chosen([*PEERS, CANDLE])
    ours = turns.built("features", arguments.cargo)
    candle = built_candle() if CANDLE in chosen else None
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            write_model(folder, PATCHES[model], ("images", "texts") if "ONNX Runtime" in chosen else ())
            for precision in arguments.precisions:
                commands = {"lowshot": [ours, "--serve", folder, "--precision", precision]}
                commands |= {
                    name: [candle, folder] if name == CANDLE else contest.peer(name, folder, precision)
                    for name in chosen if precision == "f32" or name in COMPUTE_IN_BF16
                }  # fmt: skip
                # The text towers of both models are the same.
                kinds = ("images", "texts") if model == arguments.models[0] else ("images",)
                cases = [
                    (f"{model} {what[:-1]} features, {precision}, batch {batch}", f"{what} {batch}", batch, f"ms {'an image' if what == 'images' else 'a text'}")
                    for what in kinds for batch in BATCHES
                ]  # fmt: skip
                contest.run(commands, cases, check=[f"{what} {max(BATCHES)}" for what in kinds], tolerance=TOLERANCES[precision], expected="PyTorch")
    contest.end()


if __name__ == "__main__":
    main()
