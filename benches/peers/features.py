"""ViT-B/16 image features on the CPU: lowshot, PyTorch and ONNX Runtime taking turns in one run.

    cargo bench --bench features --no-run
    python benches/peers/features.py [--rounds N] [--bench FILE]

Needs torch, transformers, onnx and onnxruntime. Weights are random and the architecture is CLIP's: 12 layers, width 768,
12 heads, 197 tokens, QuickGELU, 32-bit floats. Each contestant is a process of its own. In every round each of them
computes each case once, in an order that changes from round to round, so that what else the machine does falls on all alike.

Two times are shown. `wall` is what a user waits for. `cpu` is the processor time of all the contestant's threads (waiting
threads that spin count, as they take the processor from others): on one thread it is the better measure on a machine
that is not quiet. Ratios are the better peer's median over lowshot's: above 1, lowshot is faster.
"""

import argparse
import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

CASES = [(batch, threads) for batch in (1, 8) for threads in (1, 2)]
PIXELS = (3, 224, 224)


def model():
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, projection_dim=512, num_hidden_layers=12, num_attention_heads=12,
        image_size=224, patch_size=16, hidden_act="quick_gelu", attn_implementation="sdpa",
    )
    return CLIPVisionModelWithProjection(config).eval()


def torch_contestant():
    import torch

    tower = model()
    images = {batch: torch.randn(batch, *PIXELS) for batch in (1, 8)}

    def run(batch, threads):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            tower(pixel_values=images[batch])

    return run


def onnxruntime_contestant():
    import onnxruntime
    import torch

    class Features(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = model()

        def forward(self, pixels):
            return self.tower(pixel_values=pixels).image_embeds

    images = {batch: torch.randn(batch, *PIXELS).numpy() for batch in (1, 8)}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tower.onnx"
        torch.onnx.export(
            Features(), (torch.randn(2, *PIXELS),), path, input_names=["pixels"], output_names=["features"],
            dynamic_shapes={"pixels": {0: "batch"}}, dynamo=True, verbose=False,
        )
        sessions = {}
        for threads in (1, 2):
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
            options.intra_op_num_threads = threads
            sessions[threads] = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(batch, threads):
        sessions[threads].run(None, {"pixels": images[batch]})

    return run


def serve(contestant):
    """Computes what standard input says, a line `BATCH THREADS` at a time; answers in milliseconds an image."""
    # Libraries may print while they load: the answers get a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run = contestant()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        batch, threads = map(int, line.split())
        start = time.perf_counter()
        run(batch, threads)
        print((time.perf_counter() - start) * 1e3 / batch, file=answers, flush=True)


CONTESTANTS = {"torch": torch_contestant, "onnxruntime": onnxruntime_contestant}


class Contestant:
    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{' '.join(command)} did not start: run it by itself to see why")

    def processor_seconds(self):
        total = 0
        for task in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            try:
                total += int(pathlib.Path(task).read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total * 1e-9

    def measure(self, batch, threads):
        before = self.processor_seconds()
        print(batch, threads, file=self.process.stdin, flush=True)
        wall = float(self.process.stdout.readline())
        return wall, (self.processor_seconds() - before) * 1e3 / batch


def built_bench():
    root = pathlib.Path(__file__).resolve().parents[2]
    command = ["cargo", "bench", "--bench", "features", "--no-run", "--message-format", "json"]
    output = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "features")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bench", help="the built benchmark (default: cargo builds it)")
    parser.add_argument("--serve", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(CONTESTANTS[arguments.serve])

    contestants = {"lowshot": Contestant([arguments.bench or built_bench(), "--serve"])}
    for name in CONTESTANTS:
        contestants[name] = Contestant([sys.executable, __file__, "--serve", name])
    for contestant in contestants.values():
        for case in CASES:
            contestant.measure(*case)

    load = os.getloadavg()[0]
    times = {(name, case): [] for name in contestants for case in CASES}
    names = list(contestants)
    for turn in range(arguments.rounds):
        for case in CASES:
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                # Let the last one's waiting threads go to sleep.
                time.sleep(0.05)
                times[name, case].append(contestants[name].measure(*case))

    print(f"{arguments.rounds} rounds on {os.cpu_count()} cores, load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    print("milliseconds an image: median (best … 3rd quartile)\n")
    print("| batch | threads | time | " + " | ".join(names) + " | ratio of medians | ratio of bests |")
    print("|---" * (len(names) + 5) + "|")
    for case in CASES:
        for index, kind in enumerate(("wall", "cpu")):
            columns = {name: sorted(time[index] for time in times[name, case]) for name in names}
            medians = {name: statistics.median(column) for name, column in columns.items()}
            cells = [
                f"{medians[name]:.0f} ({column[0]:.0f} … {column[len(column) * 3 // 4]:.0f})"
                for name, column in columns.items()
            ]
            median = min(medians[name] for name in names[1:]) / medians[names[0]]
            best = min(columns[name][0] for name in names[1:]) / columns[names[0]][0]
            print(f"| {case[0]} | {case[1]} | {kind} | " + " | ".join(cells) + f" | {median:.2f} | {best:.2f} |")
    for contestant in contestants.values():
        contestant.process.kill()


if __name__ == "__main__":
    main()
