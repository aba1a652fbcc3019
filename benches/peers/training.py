"""A LoRA step on ViT-B/16 on the CPU: lowshot and PyTorch with PEFT, as it is and compiled, taking turns in one run.

    python benches/peers/training.py [--rounds N] [--variant NAME] [--peers NAME,…]

Needs torch, transformers and peft. Weights are random, in CLIP's shape, and all read the same file: ViT-B/16 (12 layers, width 768, 197
tokens of 224 px pictures) and its text tower (12 layers, width 512), 32-bit floats. A step is what training does: eight pictures and
the prompts of ten classes through both towers, cross entropy, gradients of LoRA (rank 2 on q, k, v of both encoders, dropout .25),
AdamW. Both have the same prompts of eight ids, not padded to 77, and PyTorch its fused attention: PyTorch as one would tune it.
The first step's loss is compared, in which dropout has no part yet because the branches begin at 0.

`PyTorch compiled` is torch.compile of the towers and the loss, which takes some minutes. Memory is each process's largest resident size,
the loading of weights (and compiling) included. `--variant` chooses one of the benchmark's own (plain, checkpoint-blocks, ...).
"""

import tempfile

import features
import turns

BATCH, CLASSES = 8, 10


def pytorch(folder, compiled=False):
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file
    from transformers import CLIPModel

    torch.set_num_threads(turns.threads())
    torch.manual_seed(1)
    inputs = load_file(f"{folder}/inputs.safetensors")
    lora = LoraConfig(r=2, lora_alpha=1, lora_dropout=0.25, use_rslora=True, target_modules=["q_proj", "k_proj", "v_proj"])
    wrapped = get_peft_model(CLIPModel.from_pretrained(folder, attn_implementation="sdpa"), lora).train()
    model = wrapped.base_model.model
    trained = [value for value in wrapped.parameters() if value.requires_grad]
    assert sum(value.numel() for value in trained) == 184_320
    optimiser = torch.optim.AdamW(trained, lr=2e-4, weight_decay=1e-2)
    pixels, ids, labels = inputs["images"][:BATCH], inputs["texts"][:CLASSES].long(), torch.arange(BATCH) % CLASSES
    unit = lambda x: torch.nn.functional.normalize(x, dim=-1)
    towers = features.towers(model)

    def loss_of(pixels, ids, labels):
        image, text = unit(towers["images"](pixels)), unit(towers["texts"](ids))
        return torch.nn.functional.cross_entropy(100 * image @ text.T, labels)

    forward = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def step():
        loss = forward(pixels, ids, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


PEERS = {"PyTorch + PEFT": pytorch, "PyTorch + PEFT compiled": lambda folder: pytorch(folder, compiled=True)}


def contestant(name, folder):
    step = PEERS[name](folder)
    first = step()
    return lambda line: [first] if line == "output loss" else turns.milliseconds(step)


def main():
    parser = turns.parser(__doc__, rounds=7)
    parser.add_argument("--variant", default="plain", help="of the benchmark (default: plain)")
    arguments = parser.parse_args()
    if arguments.contestant:
        return turns.serve(lambda: contestant(*arguments.contestant))
    contest = turns.Contest(arguments, __file__, "benches/peers/training.py")
    ours = turns.built("training", arguments.cargo)
    with tempfile.TemporaryDirectory() as folder:
        features.write_model(folder, features.PATCHES["ViT-B/16"])
        commands = {"lowshot": [ours, "--serve", folder, "--only", arguments.variant]}
        commands |= {name: contest.peer(name, folder) for name in contest.chosen(PEERS)}
        case = ("ViT-B/16 LoRA step, f32, batch 8", "step", 1, "ms a step")
        contest.run(commands, [case], check=["loss"], tolerance=1e-4, expected="PyTorch + PEFT")
    contest.end()


if __name__ == "__main__":
    main()
