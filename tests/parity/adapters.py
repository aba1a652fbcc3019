"""Reference values for the adapters on features, by PyTorch and scikit-learn.

    python tests/parity/adapters.py        # writes tests/parity/adapters.safetensors

A small seeded problem: seven classes with 5, 5, 3, 1, 4, 2 and 0 shots, width 32, noisy clusters with an offset between
texts and images, so that no method gets everything right. Meta-Adapter is computed one class at a time, each with
exactly its own shots, so that nothing is padded or masked here.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

WIDTH, COUNTS, SCALE = 32, [5, 5, 3, 1, 4, 2, 0], 100.0
CLASSES = len(COUNTS)
torch.manual_seed(7)
torch.set_num_threads(1)
out = {}


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


centres, offset = torch.randn(CLASSES, WIDTH), 2 * torch.randn(WIDTH)


def images(labels):
    return unit(centres[labels] + offset + 1.1 * torch.randn(len(labels), WIDTH))


text = unit(0.5 * centres + torch.randn(CLASSES, WIDTH))
labels = torch.repeat_interleave(torch.arange(CLASSES), torch.tensor(COUNTS))
labels = labels[torch.randperm(len(labels))]  # not sorted by class: grouping is the adapter's business
val_labels = torch.arange(CLASSES - 1).repeat(6)
test_labels = torch.arange(CLASSES).repeat(8)
shots, val, test = images(labels), images(val_labels), images(test_labels)
out |= {"text": text, "shots": shots, "val": val, "test": test}
out |= {"shots.labels": labels, "val.labels": val_labels, "test.labels": test_labels}


def accuracy(logits, labels):
    return (logits.argmax(-1) == labels).float().mean().item()


def adamw(parameters, steps):
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, eps=1e-4, weight_decay=1e-2)
    return optimiser, torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)


# Zero-shot.
out["zero-shot.logits"] = SCALE * test @ text.T

# Tip-Adapter.
values = F.one_hot(labels, CLASSES).float()


def tip(features, keys, beta, alpha):
    return SCALE * features @ text.T + alpha * (torch.exp(-beta * (1 - features @ keys.T)) @ values)


def search(keys):
    best, pair = 0.0, None
    for beta in np.linspace(0.1, 12, 200):
        for alpha in np.linspace(0.1, 10, 20):
            found = accuracy(tip(val, keys, float(beta), float(alpha)), val_labels)
            if found > best:
                best, pair = found, [float(beta), float(alpha)]
    return torch.tensor(pair, dtype=torch.float64)


out["tip.fixed"] = tip(test, shots, 5.5, 1.17)
out["tip.searched"] = search(shots)
out["tip.logits"] = tip(test, shots, *out["tip.searched"].tolist())


def search_on_shots():
    """The same on the shots: each is judged by a cache without it."""
    best, found = 0.0, None
    for beta in np.linspace(0.1, 12, 200):
        for alpha in np.linspace(0.1, 10, 20):
            right = 0
            for shot in range(len(shots)):
                others = torch.arange(len(shots)) != shot
                votes = torch.exp(-float(beta) * (1 - shots[shot] @ shots[others].T)) @ values[others]
                logits = SCALE * shots[shot] @ text.T + float(alpha) * votes
                right += int(logits.argmax() == labels[shot])
            if right > best:
                best, found = right, [float(beta), float(alpha)]
    return torch.tensor(found, dtype=torch.float64)


out["tip.searched-on-shots"] = search_on_shots()

# Tip-Adapter-F.
keys = torch.nn.Parameter(shots.clone())
optimiser, schedule = adamw([keys], 100)
losses = []
for step in range(1, 101):
    loss = F.cross_entropy(tip(shots, keys, 1.0, 2.0), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    schedule.step()
    losses.append(loss.item())
    if step in (5, 100):
        out[f"tip-f.keys.{step}"] = keys.detach().clone()
out["tip-f.losses"] = torch.tensor(losses)
out["tip-f.searched"] = search(keys.detach())
out["tip-f.logits"] = tip(test, keys.detach(), *out["tip-f.searched"].tolist())


# Meta-Adapter.
def classifier(text, support, labels, query, key, gate_weight, gate_bias):
    rows = []
    for c, q in enumerate(text):
        seen = torch.cat([q[None], support[labels == c]])
        attention = torch.softmax((query @ q) @ (seen @ key.T).T / WIDTH**0.5, -1)
        gate = torch.sigmoid(gate_weight @ q + gate_bias)
        rows.append(unit(q + gate * (attention @ seen)))
    return torch.stack(rows)


start = {
    "query.weight": torch.nn.init.xavier_uniform_(torch.empty(WIDTH, WIDTH)),
    "key.weight": torch.nn.init.xavier_uniform_(torch.empty(WIDTH, WIDTH)),
    "gate.weight": (torch.rand(1, WIDTH) * 2 - 1) / WIDTH**0.5,
    "gate.bias": torch.ones(1, 1),
}
parameters = [torch.nn.Parameter(p.clone()) for p in start.values()]


def meta(features, text=text, shots=shots, labels=labels):
    query, key, gate_weight, gate_bias = parameters
    return SCALE * features @ classifier(text, shots, labels, query, key, gate_weight[0], gate_bias[0, 0]).T


optimiser, schedule = adamw(parameters, 200)
losses = []
for step in range(201):
    with torch.no_grad():
        if step in (0, 10, 200):
            out[f"meta.logits.{step}"] = meta(test)
            out |= {f"meta.{step}.{name}": p.detach().clone() for name, p in zip(start, parameters)}
    if step == 200:
        break
    loss = F.cross_entropy(meta(shots), labels)
    optimiser.zero_grad()
    loss.backward()
    if step == 0:
        out |= {f"meta.gradient.{name}": p.grad.clone() for name, p in zip(start, parameters)}
    optimiser.step()
    schedule.step()
    losses.append(loss.item())
out["meta.losses"] = torch.tensor(losses)

# What was learnt, on classes never seen: four texts, six unequal shots.
novel_centres = torch.randn(4, WIDTH)
novel_labels = torch.tensor([3, 0, 1, 1, 3, 0])
novel_text = unit(0.5 * novel_centres + torch.randn(4, WIDTH))
novel_shots = unit(novel_centres[novel_labels] + offset + torch.randn(6, WIDTH))
out |= {"novel.text": novel_text, "novel.shots": novel_shots, "novel.labels": novel_labels}
with torch.no_grad():
    out["novel.logits"] = meta(test, novel_text, novel_shots, novel_labels)

# Linear probe; the seventh class has no shots, so scikit-learn knows six.
for c in (10.0, 0.1):
    probe = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(shots.double().numpy(), labels.numpy())
    out[f"linear-probe.{c:g}.coefficients"] = torch.from_numpy(probe.coef_)
    out[f"linear-probe.{c:g}.intercept"] = torch.from_numpy(probe.intercept_)
    out[f"linear-probe.{c:g}.probabilities"] = torch.from_numpy(probe.predict_proba(test.double().numpy()))

for name in ("zero-shot.logits", "tip.logits", "tip-f.logits", "meta.logits.0", "meta.logits.200"):
    print(f"{name}: {accuracy(out[name], test_labels):.3f}")
print("tip", out["tip.searched"].tolist(), "tip-f", out["tip-f.searched"].tolist(), "losses", losses[0], losses[-1], out["tip-f.losses"][[0, -1]])
path = Path(__file__).with_suffix(".safetensors")
save_file({name: tensor.contiguous() for name, tensor in out.items()}, path)
print(path.name, path.stat().st_size, "bytes")
