"""A LoRA step on ViT-B/16 on the CPU: lowshot and PyTorch with PEFT taking turns in one run.

    cargo bench --bench training --no-run
    python benches/peers/training.py [--rounds N] [--variant NAME] [--bench FILE]

Needs torch, transformers and peft. Weights are random and the architecture is CLIP's: ViT-B/16 (12 layers, width 768, 197 tokens of
224 px pictures) and its text tower (12 layers, width 512), 32-bit floats. A step is what training does: the pictures and the prompts
of ten classes through both towers, cross entropy, gradients of LoRA (rank 2 on q, k, v of both encoders, dropout .25), AdamW.
Both have the same prompts of eight ids, not padded to 77, and PyTorch its fused attention: PyTorch as one would tune it.

In each round each contestant runs in a process of its own, for each number of threads, in an order that changes from round to
round. The process warms up, then times its steps; what is shown is the median over rounds of the median step. Memory is the
process's largest resident size, as the system counts it, the loading of weights included. Ratios are lowshot's over PyTorch's: below 1
is less time, or less memory. `--variant` chooses one of the benchmark's own (plain, checkpoint-blocks, ...).
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

THREADS = (1, 2)
# As in benches/training.rs; PROMPT counts ids, start and end included.
BATCH, WARM_UP, STEPS, CLASSES, PROMPT = 8, 1, 5, 10, 8


def peer(threads):
    """PyTorch and PEFT: prints the same line as the benchmark."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import CLIPConfig, CLIPModel

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    size = lambda width, heads: {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": 12, "num_attention_heads": heads, "hidden_act": "quick_gelu",
    }  # fmt: skip
    config = CLIPConfig(
        vision_config={**size(768, 12), "image_size": 224, "patch_size": 16}, text_config={**size(512, 8), "eos_token_id": 49407}, projection_dim=512
    )
    config._attn_implementation = "sdpa"
    lora = LoraConfig(r=2, lora_alpha=1, lora_dropout=0.25, use_rslora=True, target_modules=["q_proj", "k_proj", "v_proj"])
    wrapped = get_peft_model(CLIPModel(config), lora).train()
    model = wrapped.base_model.model
    trained = [value for value in wrapped.parameters() if value.requires_grad]
    assert sum(value.numel() for value in trained) == 184_320
    optimiser = torch.optim.AdamW(trained, lr=2e-4, weight_decay=1e-2)
    pixels, labels = torch.randn(BATCH, 3, 224, 224), torch.arange(BATCH) % CLASSES
    ids = torch.randint(1000, 40000, (CLASSES, PROMPT))
    ids[:, 0], ids[:, -1] = 49406, 49407
    unit = lambda x: torch.nn.functional.normalize(x, dim=-1)

    def step():
        image = unit(model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output))
        text = unit(model.text_projection(model.text_model(input_ids=ids).pooler_output))
        loss = torch.nn.functional.cross_entropy(100 * image @ text.T, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    times = []
    for _ in range(WARM_UP + STEPS):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"threads": threads, "batch": BATCH, "step_s": statistics.median(times[WARM_UP:]), "peak_rss_mib": peak}))


def built_bench():
    root = pathlib.Path(__file__).resolve().parents[2]
    command = ["cargo", "bench", "--bench", "training", "--no-run", "--message-format", "json"]
    output = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "training")


def run(name, command, threads):
    """One process to its end: its step by its own clock, its memory by the system's count."""
    environment = os.environ | {variable: str(threads) for variable in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{name} failed; run it by itself to see why: {' '.join(command)}")
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    if [(line["threads"], line["batch"]) for line in lines] != [(threads, BATCH)]:
        sys.exit(f"{name} measured something else: {output[-500:]}")
    line = lines[0]
    return line["step_s"], usage.ru_maxrss / 1024


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variant", default="plain", help="of the benchmark (default: plain)")
    parser.add_argument("--bench", help="the built benchmark (default: cargo builds it)")
    parser.add_argument("--only", choices=("lowshot", "torch"), help="one of the two, without ratios")
    parser.add_argument("--peer", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(arguments.peer)

    commands = {}
    if arguments.only != "torch":
        bench = arguments.bench or built_bench()
        commands["lowshot"] = lambda threads: [bench, "--child", "--json", "--threads", str(threads), "--only", arguments.variant]
    if arguments.only != "lowshot":
        commands["torch"] = lambda threads: [sys.executable, __file__, "--peer", str(threads)]
    names, load = list(commands), os.getloadavg()[0]
    found = {(name, threads): [] for name in names for threads in THREADS}
    for turn in range(arguments.rounds):
        for threads in THREADS:
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                found[name, threads].append(run(name, commands[name](threads), threads))

    print(f"{arguments.rounds} rounds of {STEPS} steps on {os.cpu_count()} cores, load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    print(f"batch {BATCH}; median (least … most) over rounds\n")
    print("| threads | what | " + " | ".join(names) + " | lowshot / torch |")
    print("|---" * (len(names) + 3) + "|")
    for threads in THREADS:
        for index, (what, digits) in enumerate((("step, s", 3), ("peak memory, MiB", 0))):
            columns = {name: [values[index] for values in found[name, threads]] for name in names}
            ratio = "–"
            if len(names) == 2:
                # Round by round, so that what else the machine did falls on both.
                ratio = spread([ours / theirs for ours, theirs in zip(columns["lowshot"], columns["torch"])], 2)
            print(f"| {threads} | {what} | " + " | ".join(spread(columns[name], digits) for name in names) + f" | {ratio} |")


if __name__ == "__main__":
    main()
