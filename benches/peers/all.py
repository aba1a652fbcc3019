"""Every comparison with other software on this machine, one after the other, and a table of them all.

    python benches/peers/all.py [--quick] [--only NAME,…] [--out FOLDER] [--markdown]
    python benches/peers/all.py --markdown --read FILE …      # the table alone, of earlier runs, also those of other machines

Builds what it needs. Each comparison is a script beside this one, with flags of its own, and leaves all its times in a file of JSON in
the folder `--out`. `--quick` has three rounds and leaves out torch.compile, whose compiling takes most of the time. `browser` (the page's
client beside transformers.js) is run only where `--only` names it, after its README has been followed; it prints tables of its own.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import turns

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = ("features", "training", "preprocess", "diffusion")
BROWSER = "browser"
QUICK = {
    "features": ["--peers", "PyTorch,ONNX Runtime,candle"], "training": ["--peers", "PyTorch + PEFT"], "preprocess": [], "diffusion": [],
}  # fmt: skip
WHOLE = {"diffusion": ["--compile"]}


def run(name, arguments, path):
    if name == BROWSER:
        subprocess.run(["node", "run.mjs", "--lowshot", "out/lowshot"], cwd=HERE / BROWSER, check=True)
        return None
    more = [*QUICK[name], "--rounds", "3"] if arguments.quick else WHOLE.get(name, [])
    command = [sys.executable, HERE / f"{name}.py", *more, "--cargo", arguments.cargo, "--json", path]
    print(f"\n## {name}\n", flush=True)
    subprocess.run(command, check=True)
    return json.loads(path.read_text())


def table(results):
    """What the README shows: a line for each figure, by the clock."""
    machines = list(dict.fromkeys(result["machine"] for result in results))
    yield "| what | threads | lowshot | best peer | ratio (quartiles) | command | machine | date |"
    yield "|---" * 8 + "|"
    for result in results:
        for row in result["rows"]:
            ratio = row["ratios"].get("wall")
            if ratio is None:
                continue
            median = lambda name: turns.digits(turns.quartiles(row["times"][name]["wall"])[1])
            yield " | ".join([
                f"| {row['what']}", str(row["threads"]), f"{median(turns.OURS)} {row['unit']}", f"{median(ratio['peer'])} ({ratio['peer']})",
                turns.ratio_of(ratio), f"`{row['command']}`", chr(ord("A") + machines.index(result["machine"])), f"{result['date']} |",
            ])  # fmt: skip
    yield ""
    yield from (f"{chr(ord('A') + index)}: {machine}" for index, machine in enumerate(machines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three rounds, nothing compiled")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SCRIPTS), metavar="NAME,…", help=f"of {', '.join(SCRIPTS)}, {BROWSER}")
    parser.add_argument("--cargo", default="", metavar="FLAGS", help="more flags for cargo, such as '--features page'")
    parser.add_argument("--out", type=pathlib.Path, default=turns.ROOT / "target/peers", metavar="FOLDER", help="for the files of JSON")
    parser.add_argument("--markdown", action="store_true", help="print the README's table in the end")
    parser.add_argument("--read", type=pathlib.Path, nargs="+", metavar="FILE", help="files of earlier runs, of which the table is made")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.only if name not in (*SCRIPTS, BROWSER)]
    if unknown:
        parser.error(f"there is no comparison {', '.join(unknown)}")
    began = time.time()
    if arguments.read:
        results = [json.loads(path.read_text()) for path in arguments.read]
    else:
        arguments.out.mkdir(parents=True, exist_ok=True)
        results = [run(name, arguments, arguments.out / f"{name}.json") for name in arguments.only]
        print(f"\nall of it took {(time.time() - began) / 60:.1f} minutes")
    if arguments.markdown:
        print("\n" + "\n".join(table([result for result in results if result])))


if __name__ == "__main__":
    main()
