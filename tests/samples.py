#!/usr/bin/env python3
"""Makes samples/eurosat: a small EuroSAT in EuroSAT's own layout, for the quick start and the tests.

    python3 tests/samples.py EUROSAT_FOLDER FEWSHOT_LIST [OUT]

Training and validation tiles are those of the few-shot list (16 and 4 a class); test tiles are drawn from the test
list of the real split, 40 a class by a fixed seed, so a figure measured on them is an honest, if coarse, estimate.
"""

import json
import random
import shutil
import sys
from pathlib import Path

TEST_TILES_PER_CLASS = 40
SEED = 1


def drawn(entries):
    """The test tiles, class by class: sorted by path first, so that the order of the split does not matter."""
    generator = random.Random(SEED)
    chosen = []
    for label in sorted({label for _, label, _ in entries}):
        tiles = sorted(entry for entry in entries if entry[1] == label)
        chosen += sorted(generator.sample(tiles, TEST_TILES_PER_CLASS))
    return chosen


def written(lists):
    """CoOp's split form, one entry a line."""
    blocks = []
    for name, entries in lists.items():
        lines = ",\n".join("    " + json.dumps(entry, ensure_ascii=False) for entry in entries)
        blocks.append(f"  {json.dumps(name)}: [\n{lines}\n  ]")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main(eurosat, fewshot, out="samples/eurosat"):
    eurosat, out = Path(eurosat), Path(out)
    split = json.loads((eurosat / "split_zhou_EuroSAT.json").read_text())
    shots = json.loads(Path(fewshot).read_text())
    for name in ("train", "val"):
        known = {tuple(entry) for entry in split[name]}
        strangers = [entry for entry in shots[name] if tuple(entry) not in known]
        if strangers:
            sys.exit(f"{fewshot}: {strangers[0]} is not in the {name} list of the split")
    lists = {"train": shots["train"], "val": shots["val"], "test": drawn(split["test"])}

    shutil.rmtree(out / "2750", ignore_errors=True)
    for path, _, _ in sum(lists.values(), []):
        target = out / "2750" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(eurosat / "2750" / path, target)
    shutil.copyfile(eurosat / "LICENSE", out / "LICENSE")
    (out / "split_zhou_EuroSAT.json").write_text(written(lists), encoding="utf-8", newline="\n")
    print({name: len(entries) for name, entries in lists.items()})


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
