"""A UNet's step on the CPU, and the operations it is made of: lowshot and diffusers on PyTorch taking turns in one run.

    cargo bench --bench diffusion --no-run
    python benches/peers/diffusion.py [--rounds N] [--bench FILE] [--operations] [--compile]

Needs torch, diffusers and safetensors. The network is Stable Diffusion 1.5's at half its width (160, 320, 640, 640 channels), on latents
of 32 × 32, two at a time as guidance has them, with a text of 77 tokens; 32-bit floats, random weights that both read from one file. Before
anything is timed the outputs are compared. PyTorch runs as it is, with its maps in `channels_last` order, and with `--compile` by
torch.compile as well. `--operations` measures single operations too, most of them with the sizes of Stable Diffusion 1.5 at 512 px.

Each contestant is a process of its own. In every round each of them computes each case once, in an order that changes from
round to round, so that what else the machine does falls on all alike.

Two times are shown. `wall` is what a user waits for. `cpu` is the processor time of all the contestant's threads (waiting
threads that spin count, as they take the processor from others): on one thread it is the better measure on a machine
that is not quiet. Ratios are the best peer's time over lowshot's: above 1, lowshot is faster.
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
            if line == "output":
                return step().permute(0, 2, 3, 1).flatten()[::97].tolist()
            threads, line = line.split(" ", 1)
            torch.set_num_threads(int(threads))
            if line == "unet":
                work = step
            else:
                kind, *numbers = line.split()
                work = kept.setdefault(line, None) or operation(kind, list(map(int, numbers)), order)
                kept[line] = work
            start = time.perf_counter()
            work()
            return (time.perf_counter() - start) * 1e3

    return answer


PEERS = {"torch": {}, "channels_last": {"order": "channels_last"}, "compiled": {"compiled": True}}


def serve(name, path):
    # Libraries may print while they load: the answers get a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer = contestant(path, **PEERS[name])
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        result = answer(line.strip())
        print(*(result if isinstance(result, list) else [result]), file=answers, flush=True)


class Contestant:
    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.command = " ".join(command)
        if self.ask() != "ready":
            sys.exit(f"{self.command} did not start: run it by itself to see why")

    def ask(self, line=None):
        if line:
            print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        return answer or sys.exit(f"{self.command} ended: run it by itself to see why")

    def processor_seconds(self):
        total = 0
        for task in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            try:
                total += int(pathlib.Path(task).read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total * 1e-9

    def measure(self, case, threads):
        before = self.processor_seconds()
        wall = float(self.ask(f"{threads} {case}"))
        return wall, (self.processor_seconds() - before) * 1e3


def built_bench():
    root = pathlib.Path(__file__).resolve().parents[2]
    command = ["cargo", "bench", "--bench", "diffusion", "--no-run", "--message-format", "json"]
    output = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "diffusion")


def compare(contestants):
    outputs = {name: list(map(float, contestant.ask("output").split())) for name, contestant in contestants.items()}
    expected = outputs["torch"]
    largest = max(map(abs, expected))
    for name, output in outputs.items():
        error = max(abs(a - b) for a, b in zip(output, expected, strict=True)) / largest
        print(f"{name}: output off by {error:.1e} of PyTorch's largest")
        if not error < 1e-3:
            sys.exit("not the same network")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bench", help="the built benchmark (default: cargo builds it)")
    parser.add_argument("--operations", action="store_true", help="measure single operations too")
    parser.add_argument("--compile", action="store_true", help="let torch.compile take part; compiling takes minutes")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(*arguments.serve)

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/unet.safetensors"
        write_weights(path)
        contestants = {"lowshot": Contestant([arguments.bench or built_bench(), "--serve", path])}
        for name in PEERS:
            if name != "compiled" or arguments.compile:
                contestants[name] = Contestant([sys.executable, __file__, "--serve", name, path])
    compare(contestants)
    cases = [(case, threads) for case in ["unet", *(OPERATIONS if arguments.operations else [])] for threads in (1, 2)]
    # torch.compile has the network only.
    takes_part = lambda name, case: name != "compiled" or case == "unet"
    for case, threads in cases:
        for name, contestant in contestants.items():
            if takes_part(name, case):
                contestant.measure(case, threads)

    load = os.getloadavg()[0]
    names = list(contestants)
    times = {(name, *case): [] for name in names for case in cases}
    for turn in range(arguments.rounds):
        for case, threads in cases:
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                if takes_part(name, case):
                    # Let the last one's waiting threads go to sleep.
                    time.sleep(0.05)
                    times[name, case, threads].append(contestants[name].measure(case, threads))

    print(f"{arguments.rounds} rounds on {os.cpu_count()} cores, load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    print("milliseconds: median (best … 3rd quartile)\n")
    print("| case | threads | time | " + " | ".join(names) + " | ratio of medians | ratio of bests |")
    print("|---" * (len(names) + 5) + "|")
    for case, threads in cases:
        for index, kind in enumerate(("wall", "cpu")):
            columns = {
                name: sorted(time[index] for time in times[name, case, threads]) for name in names if takes_part(name, case)
            }
            medians = {name: statistics.median(column) for name, column in columns.items()}
            cells = [
                f"{medians[name]:.1f} ({columns[name][0]:.1f} … {columns[name][len(columns[name]) * 3 // 4]:.1f})"
                if name in columns else "" for name in names
            ]  # fmt: skip
            peers = [name for name in columns if name != "lowshot"]
            median = min(medians[name] for name in peers) / medians["lowshot"]
            best = min(columns[name][0] for name in peers) / columns["lowshot"][0]
            print(f"| {case} | {threads} | {kind} | " + " | ".join(cells) + f" | {median:.2f} | {best:.2f} |")
    for contestant in contestants.values():
        contestant.process.kill()


if __name__ == "__main__":
    main()
