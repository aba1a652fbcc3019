#!/usr/bin/env python3
"""The few-shot sampler once more, from its description alone and with the standard library alone.

    python3 tests/data/sampler_reference.py > tests/data/sampler_reference.json

Each class has a ChaCha8 generator with key SHA-256(seed as 8 little-endian bytes, class name as UTF-8), counter and
nonce 0. A number below n is the upper half of n times the next 64 bits. Images are sorted by path and shuffled from the
last place down to the second; a class that has too few repeats some, drawn with the generator where the shuffle left it.
"""

import hashlib
import json
import struct


def block(key, counter):
    """One ChaCha8 block: 16 words."""
    start = list(b"expa" b"nd 3" b"2-by" b"te k")
    start = list(struct.unpack("<4I", bytes(start))) + list(struct.unpack("<8I", key))
    start += [counter & 0xFFFFFFFF, counter >> 32, 0, 0]
    words = start[:]

    def quarter(a, b, c, d):
        for one, other, third, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            words[one] = (words[one] + words[other]) & 0xFFFFFFFF
            mixed = words[third] ^ words[one]
            words[third] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(4):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for column in range(4):
            quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return [(word + first) & 0xFFFFFFFF for word, first in zip(words, start)]


def numbers(seed, name):
    """The generator of a class: an endless row of 64-bit numbers."""
    key = hashlib.sha256(struct.pack("<Q", seed) + name.encode()).digest()
    counter = 0
    while True:
        words = block(key, counter)
        counter += 1
        for low, high in zip(words[::2], words[1::2]):
            yield high << 32 | low


def shuffled(paths, draw):
    paths = sorted(set(paths), key=str.encode)
    for place in range(len(paths) - 1, 0, -1):
        other = (next(draw) * (place + 1)) >> 64
        paths[place], paths[other] = paths[other], paths[place]
    return paths


def sample(classes, shots, seed):
    train, val = [], []
    for name, (train_count, val_count) in classes.items():
        draw = numbers(seed, name)
        images = shuffled([f"train/{name}/{index}.jpg" for index in range(train_count)], draw)
        train += images[:shots]
        train += [images[(next(draw) * len(images)) >> 64] for _ in range(shots - len(images))]
        images = shuffled([f"val/{name}/{index}.jpg" for index in range(val_count)], numbers(seed, name))
        val += images[: min(shots, 4)]
    return train, val


CLASSES = {"Forest": (50, 20), "Sea or Lake": (16, 3), "circuit, drawn": (3, 0), "Straße": (1, 1), "写真": (120, 40)}


def main():
    # The first block of ChaCha8 with the zero key, as in Strombergson's draft of test vectors (256-bit key, 8 rounds).
    assert struct.pack("<16I", *block(bytes(32), 0)).hex().startswith("3e00ef2f895f40d67f5bb8e81f09a5a1")
    cases = []
    for shots, seed in ((1, 1), (4, 7), (16, 1), (16, 2), (16, 2**64 - 1)):
        train, val = sample(CLASSES, shots, seed)
        cases.append({"shots": shots, "seed": seed, "train": train, "val": val})
    print(json.dumps({"classes": CLASSES, "cases": cases}, ensure_ascii=False, indent=0))


if __name__ == "__main__":
    main()
