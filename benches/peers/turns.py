"""What the peers' scripts share: contestants that take turns, what their times say, and tables of it.

A contestant is a process that answers standard input a line at a time. `WHAT …` is a case to be measured, answered by milliseconds;
`output WHAT` asks for what comes of it, answered by numbers, so that contestants that do not compute the same are found before
anything is timed. In every round each contestant has a turn at each case, in an order that changes from round to round, so that
what else the machine does falls on all alike. In a turn it computes the case twice, and the second time counts: the first brings what
it needs back into the caches that the others had.

Two times are taken. `wall` is what a user waits for. `cpu` is the processor time of all the contestant's threads (waiting threads
that spin count, as they take the processor from others): on one thread it is the better measure on a machine that is not quiet.
A ratio is a peer's time over lowshot's in the same round, for the peer whose median is best: above 1, lowshot is faster.

Only the contestants themselves need more than Python's standard library.
"""

import argparse
import collections
import datetime
import glob
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = "lowshot"
# Instruction sets that matrix products and pixels are computed with.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "i8mm", "bf16")


def parser(description, rounds):
    """The flags that all scripts have."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--rounds", type=int, default=rounds, help=f"rounds that are measured (default: {rounds})")
    found.add_argument("--threads", type=numbers, default=[1, 2], metavar="N,…", help="numbers of threads (default: 1,2)")
    found.add_argument("--peers", type=lambda text: text.split(","), metavar="NAME,…", help="these peers alone")
    found.add_argument("--cargo", default="", metavar="FLAGS", help="more flags for cargo, such as '--features page'")
    found.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all times there too")
    found.add_argument("--contestant", nargs="+", help=argparse.SUPPRESS)
    return found


def numbers(text):
    return [int(word) for word in text.split(",")]


def built(bench, flags=""):
    """The path of a benchmark of this crate, built."""
    command = ["cargo", "bench", "--bench", bench, "--no-run", "--message-format", "json-render-diagnostics", *flags.split()]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == bench)


def serve(load):
    """Is a contestant: answers standard input by what `load()` gives, a function from a line to a number or a list of them."""
    # Libraries may print while they load: the answers get a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer = load()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        found = answer(line.strip())
        print(*(found if isinstance(found, list) else [found]), file=answers, flush=True)


def threads():
    """How many threads this contestant may compute on."""
    return int(os.environ["RAYON_NUM_THREADS"])


def milliseconds(work):
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


class Absent(Exception):
    """A contestant cannot do this here."""


class Contestant:
    """A process that computes on so many threads."""

    def __init__(self, name, command, threads):
        self.name, self.command, self.complaints = name, " ".join(map(str, command)), tempfile.TemporaryFile()
        variables = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | {variable: str(threads) for variable in variables}
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints, text=True, env=environment
        )
        first = self.read()
        if first.startswith("absent "):
            raise Absent(first.removeprefix("absent "))
        if first != "ready":
            self.fail("it did not say that it is ready")

    def fail(self, why):
        self.complaints.seek(0)
        said = self.complaints.read().decode(errors="replace").strip().splitlines()[-3:]
        sys.exit(f"{self.name}: {why}: {' / '.join(said)}\n({self.command})")

    def read(self):
        return self.process.stdout.readline().strip() or self.fail("it ended")

    def ask(self, line):
        try:
            print(line, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            self.fail("it ended")
        return self.read()

    def processor_seconds(self):
        """Of all threads; not a number where the system does not tell."""
        total, tasks = 0, glob.glob(f"/proc/{self.process.pid}/task/*/schedstat")
        for task in tasks:
            try:
                total += int(pathlib.Path(task).read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total * 1e-9 if tasks else math.nan

    def peak_memory(self):
        """The largest resident size so far in MiB, as the system counts it."""
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        except FileNotFoundError:
            return math.nan
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def measure(self, case):
        """Wall and processor time in milliseconds."""
        before = self.processor_seconds()
        wall = float(self.ask(case))
        return wall, (self.processor_seconds() - before) * 1e3

    def output(self, what):
        return [float(word) for word in self.ask(f"output {what}").split()]

    def end(self):
        self.process.kill()
        self.process.wait()


class Contest:
    """What the contestants' processes are, and all that was measured of them."""

    def __init__(self, arguments, script, command):
        self.arguments, self.script, self.command = arguments, script, command
        self.began, self.load, self.rows = time.time(), os.getloadavg()[0], []

    def peer(self, name, *more):
        """The command of a peer that is this script itself."""
        return [sys.executable, self.script, "--contestant", name, *more]

    def chosen(self, names):
        return [name for name in names if self.arguments.peers is None or name in self.arguments.peers]

    def run(self, commands, cases, check=(), tolerance=1e-3, expected=None, tolerances={}):
        """Lets the contestants `commands` (by name, lowshot's first) take turns at the `cases`, on each number of threads.

        A case is (what the table calls it, its line, how many items it computes, the items' name). Of `check` all must give the same
        numbers as `expected` does, within `tolerance` of the largest. `tolerances` has other limits, by name, for those that do not quite
        compute the same: they take their turns, but no ratio is of them.
        """
        for threads in self.arguments.threads:
            contestants = {}
            for name, command in commands.items():
                try:
                    contestants[name] = Contestant(name, command, threads)
                except Absent as why:
                    print(f"without {name}: {why}", file=sys.stderr, flush=True)
                    if name == OURS:
                        return
            expected = expected if expected in contestants else list(contestants)[-1]
            errors = self.compare(contestants, check, expected, tolerance, tolerances)
            # Some compile for a case when they see it first.
            for _, line, *_ in cases:
                for contestant in contestants.values():
                    contestant.ask(line)
            times = collections.defaultdict(lambda: {"wall": [], "cpu": []})
            names = list(contestants)
            for turn in range(self.arguments.rounds):
                for case in cases:
                    for name in names[turn % len(names) :] + names[: turn % len(names)]:
                        # Let the last one's waiting threads go to sleep: some spin for a fifth of a second (Intel's OpenMP).
                        time.sleep(0.25)
                        contestants[name].ask(case[1])
                        wall, cpu = contestants[name].measure(case[1])
                        times[case, name]["wall"].append(wall / case[2])
                        times[case, name]["cpu"].append(cpu / case[2])
            memory = {name: contestant.peak_memory() for name, contestant in contestants.items()}
            for contestant in contestants.values():
                contestant.end()
            for case in cases:
                found = {name: times[case, name] for name in names}
                peers = [name for name in names if name not in (OURS, *tolerances)]
                self.rows.append(row(case, threads, found, peers, errors, memory, self.command))
                print(line_of(self.rows[-1]), file=sys.stderr, flush=True)

    def compare(self, contestants, check, expected, tolerance, tolerances):
        errors = {}
        for what in check:
            outputs = {name: contestant.output(what) for name, contestant in contestants.items()}
            largest = max(map(abs, outputs[expected]))
            for name, output in outputs.items():
                error = max(abs(a - b) for a, b in zip(output, outputs[expected], strict=True)) / largest
                errors[name] = max(error, errors.get(name, 0.0))
                if not error <= tolerances.get(name, tolerance):
                    sys.exit(f"{name} does not compute what {expected} does: its {what} are off by {error:.1e} of the largest")
        return errors

    def end(self):
        """Prints the tables, and writes the file that was asked for."""
        found = {"machine": machine(), "date": datetime.date.today().isoformat(), "load": [self.load, os.getloadavg()[0]],
                 "seconds": time.time() - self.began, "rows": self.rows}  # fmt: skip
        print("\n".join(tables(found)))
        if self.arguments.json:
            self.arguments.json.write_text(json.dumps(found, indent=1))


def row(case, threads, times, peers, errors, memory, command):
    what, _, _, unit = case
    ratios = {}
    for kind in ("wall", "cpu"):
        ours = times[OURS][kind]
        if peers and all(map(math.isfinite, ours)):
            best = min(peers, key=lambda name: statistics.median(times[name][kind]))
            ratios[kind] = {"peer": best, "quartiles": quartiles([peer / own for peer, own in zip(times[best][kind], ours)])}
    return {"what": what, "threads": threads, "unit": unit, "times": times, "ratios": ratios, "errors": errors, "memory_mib": memory,
            "command": command}  # fmt: skip


def quartiles(values):
    """The first quartile, the median and the third."""
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3


def digits(value):
    """Three digits that mean something."""
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 and math.isfinite(value) else "–"


def ratio_of(ratio):
    return "{1:.2f} ({0:.2f} – {2:.2f})".format(*ratio["quartiles"]) if ratio else "–"


def line_of(row):
    ratios = ", ".join(f"{kind} {ratio_of(ratio)} {ratio['peer']}" for kind, ratio in row["ratios"].items())
    return f"{row['what']}, {row['threads']} threads: {ratios}"


def spread(times):
    low, median, high = quartiles(times)
    return f"{digits(median)} ({digits(low)} – {digits(high)})"


def tables(found):
    """All rows as Markdown: a table for each set of contestants."""
    before, after = found["load"]
    yield f"{found['machine']}; {found['date']}; load {before:.1f} before, {after:.1f} after; {found['seconds']:.0f} s"
    yield "median (quartiles) in milliseconds; ratios are the best peer's time over lowshot's, round by round"
    for names in dict.fromkeys(tuple(row["times"]) for row in found["rows"]):
        rows = [row for row in found["rows"] if tuple(row["times"]) == names]
        yield ""
        yield "| what | threads | time | " + " | ".join(names) + " | ratio | best peer |"
        yield "|---" * (len(names) + 5) + "|"
        for row in rows:
            for kind, ratio in (row["ratios"] or {"wall": None}).items():
                cells = [spread(row["times"][name][kind]) for name in names]
                peer = ratio["peer"] if ratio else "–"
                yield f"| {row['what']}, {row['unit']} | {row['threads']} | {kind} | " + " | ".join(cells) + f" | {ratio_of(ratio)} | {peer} |"
        off = {name: max(row["errors"].get(name, 0.0) for row in rows) for name in names}
        if any(off.values()):
            yield "\noutputs agree within " + ", ".join(f"{error:.0e} ({name})" for name, error in off.items() if error)
        memory = {name: max(row["memory_mib"][name] for row in rows) for name in names}
        if all(map(math.isfinite, memory.values())):
            yield "peak memory: " + ", ".join(f"{size:.0f} MiB ({name})" for name, size in memory.items())


def machine():
    """The processor in a line."""
    try:
        fields = [line.partition(":")[::2] for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()]
    except FileNotFoundError:
        fields = []
    fields = {name.strip(): value.strip() for name, value in fields}
    name = fields.get("model name", platform.processor() or platform.machine())
    known = (fields.get("flags") or fields.get("Features") or "").split()
    return ", ".join([name, f"{os.cpu_count()} cores", *(" ".join(name for name in INSTRUCTIONS if name in known),)]).rstrip(", ")
