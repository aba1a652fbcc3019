"""Writes lanczos.json: SHA-256 of what Pillow's Lanczos filter makes of pictures/png-64x64.png and others, by size.

    python tests/parity/lanczos.py

diffusers resizes pictures with it before it encodes them. Rows come first, as in crop_flip.py, which says why. Needs Pillow.
"""

import hashlib
import json
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
CASES = [
    ("png-64x64.png", (512, 512)),
    ("png-64x64.png", (64, 64)),
    ("png-64x64.png", (24, 40)),
    ("png-65x67.png", (64, 64)),
    ("png-65x67.png", (160, 64)),
    ("png-3x4000.png", (8, 512)),
    ("png-1x1.png", (8, 8)),
]


def main():
    made = []
    for name, size in CASES:
        image = Image.open(HERE / "pictures" / name).convert("RGB")
        for step in (size[0], image.height), size:
            image = image.resize(step, Image.Resampling.LANCZOS)
        made.append({"picture": name, "size": size, "sha256": hashlib.sha256(image.tobytes()).hexdigest()})
    lines = ",\n".join(f"  {json.dumps(case)}" for case in made)
    (HERE / "lanczos.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
