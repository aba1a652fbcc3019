"""What the report's statistics and figures must compute, by SciPy, scikit-learn, NumPy and transformers.

    pip install numpy scipy scikit-learn torch transformers pillow
    python tests/experiments/report/reference.py        # rewrites reference.json beside this file

Written with SciPy 1.17, scikit-learn 1.9, transformers 5.23, torch 2.15.
"""

import json
import pathlib

import numpy as np
import torch
from PIL import Image
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import _t_sne
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[2]
TILE = "samples/eurosat/2750/{}"


def intervals():
    for values in [[0.5, 0.7], [0.812, 0.835, 0.829], [0.1, 0.9, 0.4, 0.35], [0.9012, 0.9013, 0.9012, 0.9014, 0.9013], list(np.linspace(0.2, 0.4, 30))]:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        yield {"values": values, "std": float(np.std(values, ddof=1)), "low": float(low), "high": float(high)}


def paired():
    generator = np.random.default_rng(7)
    pairs = [([0.8, 0.82, 0.81], [0.83, 0.84, 0.85]), ([0.4, 0.5], [0.45, 0.52]), ([0.9, 0.91, 0.92, 0.9], [0.9, 0.92, 0.91, 0.9])]
    pairs += [(a.tolist(), (a + generator.normal(shift, 0.01, n)).tolist()) for n, shift in [(3, 0.3), (5, 0.01), (10, 0.0)] for a in [generator.uniform(0.3, 0.6, n)]]
    for first, second in pairs:
        yield {"first": first, "second": second, "p": float(stats.ttest_rel(second, first).pvalue)}


def mcnemar():
    for first, second in [(0, 0), (0, 1), (5, 5), (1, 9), (9, 1), (3, 4), (40, 60), (120, 60), (277, 503), (4121, 588), (1650, 1252)]:
        p = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
        yield {"only_first": first, "only_second": second, "p": float(p)}


def wilson():
    for correct, n in [(0, 10), (10, 10), (81, 263), (7420, 8100)]:
        low, high = stats.binomtest(correct, n).proportion_ci(0.95, method="wilson")
        yield {"correct": correct, "n": n, "low": float(low), "high": float(high)}


def affinities(rows, perplexity):
    distances = squareform(pdist(rows, "sqeuclidean")).astype(np.float32)
    return squareform(_t_sne._joint_probabilities(distances, perplexity, 0))


def principal_components(rows):
    centred = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes[:2].T


def attention():
    folder = REPOSITORY / "models/demo-clip"
    model = CLIPVisionModelWithProjection.from_pretrained(folder, attn_implementation="eager", torch_dtype=torch.float32).eval()
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    split = json.loads((REPOSITORY / "samples/eurosat/split_zhou_EuroSAT.json").read_text())
    for path, _, _ in split["test"][::15][:3]:
        pixels = processor(Image.open(REPOSITORY / TILE.format(path)).convert("RGB"), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            last = model(pixels, output_attentions=True).attentions[-1]
        yield {"tile": TILE.format(path), "grid": last[0, :, 0, 1:].mean(dim=0).tolist()}


def main():
    generator = np.random.default_rng(3)
    rows = np.concatenate([generator.normal(centre, 0.3, (8, 5)) for centre in (0.0, 1.5, 4.0)]).round(6)
    reference = {
        "intervals": list(intervals()),
        "paired": list(paired()),
        "mcnemar": list(mcnemar()),
        "wilson": list(wilson()),
        "features": {
            "rows": rows.tolist(),
            "perplexity": 5.0,
            "affinities": affinities(rows, 5.0).tolist(),
            "principal_components": principal_components(rows).tolist(),
        },
        "attention": list(attention()),
    }
    (HERE / "reference.json").write_text(json.dumps(reference) + "\n")


main()
