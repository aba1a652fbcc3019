"""Losses, gradients and AdamW steps of training through the towers, by PyTorch and PEFT.

    python tests/parity/training.py        # writes tests/parity/training/{tiny,open-clip-vit,open-clip-resnet,counts}.*

Models are those of architectures.py, filled by seeded.py as in towers.py, in eval mode (BatchNorm uses its running statistics)
and in f64. `tiny` is transformers' CLIPModel, its LoRA is PEFT's own; the other two are open_clip's, whose fused attention
PEFT cannot split, so that LoRA there is W + s · B · A written out as a parametrisation. Dropout is 0 everywhere.

NAME.json
    architecture      the name in tests/parity/towers/NAME.json, which lists the tensors and the SHA-256 of the weights
    pictures          the batch is seeded.pixels(pictures, image_size)
    labels            a class for each picture
    prompts           ids of each class's prompt, start and end included, not padded
    pad               what fills a prompt up to context_length
    scale             what cosines are multiplied with
    names             adapter file's name → names in the .safetensors, to be concatenated along the first dimension (q, k, v of a
                      fused bias; else one name). Matrices agree in shape; biases are vectors here and [1, n] there.
    support_labels    the class of each row of `support`
    bank              rows of `bank`, in the order in which they follow f¹ (the older batch first)
    cases             CASE → {
        lora          null, or rank, alpha, scaling ("rank-stabilised" | "standard"), projections, encoder, layers ([first, end))
        bitfit, meta  whether
        breaking      null or λ
        parameters    how many numbers are trained
        loss          mean cross entropy (with λ times the other one under `breaking`)
        steps         only in the case of AdamW: the optimiser's settings, and the learning rate and loss of each step
    }

NAME.safetensors (f32; names in the layout of the checkpoint, LoRA's by PEFT in tiny and as in the adapter file elsewhere)
    `support` [n, D], `bank` [8, D]        of unit length
    `start.NAME`      what LoRA (rank 2, all blocks, q k v o) and Meta-Adapter start from. Biases start from the checkpoint.
    `start.3.NAME`    the same for rank 3
    `CASE.logits` [pictures, C]; `CASE.merged` the same with LoRA merged into the weights (PEFT's merge, or W + s · B · A)
    `CASE.gradient.NAME` for everything that is trained
    `CASE.step.K.NAME` values after steps K = 1 and 3. The bias of k is not to be compared: softmax does not see it, so its gradient
                      is 0 but for rounding, and Adam makes steps of any size of that. It is left out, and in a fused
                      `in_proj_bias` it is the middle third.

With Meta-Adapter (METHODS: w = normalize(q + g · a · [q; S])) the query q is the live text feature of the class, so gradients
reach the text tower through it; without, w is the unit text feature. logits = scale · f · wᵀ.
Breaking images: with p = seeded.pixels(14, side), whose first six are the batch, the views are x¹ = p[6..10] and
x² = (x¹ + p[10..14]) / 2. Breaking: CE(logits, labels) + λ · CE(scale · f² · [f¹; bank]ᵀ, arange(4)), where f¹ and f² are unit features of the views, f¹ not
detached, the bank detached.
"""

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch.nn.utils import parametrize
from transformers import CLIPConfig, CLIPModel

import seeded
from architectures import ARCHITECTURES, RN50, hf, text, vit
from towers import Towers, padded

OUT = Path(__file__).parent / "training"
PICTURES, CLASSES, VIEWS, SCALE, LAMBDA = 6, 5, 4, 100.0, 0.1
SUPPORT_LABELS = [3, 0, 0, 4, 2, 0, 3, 2]  # unequal, unsorted, and class 1 has none
OPTIMISER = {"lr": 2e-3, "weight_decay": 1e-2, "eps": 1e-8, "betas": [0.9, 0.999], "final_lr": 1e-6, "steps": 3}
ALL = ["q", "k", "v"]


def lora(rank=2, alpha=1.0, scaling="rank-stabilised", projections=ALL, encoder="both", layers=None):
    return {
        "rank": rank, "alpha": alpha, "scaling": scaling, "projections": projections, "encoder": encoder, "layers": layers,
    }  # fmt: skip


def case(lora=None, bitfit=False, meta=False, breaking=None, steps=False):
    return {"lora": lora, "bitfit": bitfit, "meta": meta, "breaking": breaking, "steps": steps}


VIT = {
    "lora": case(lora()),
    "lora-standard": case(lora(scaling="standard")),
    "lora-qkvo": case(lora(projections=["q", "k", "v", "o"])),
    "lora-vision-top": case(lora(rank=3, alpha=2.0, projections=["q", "v"], encoder="vision", layers=[1, 2])),
    "lora-text": case(lora(encoder="text")),
    "bitfit": case(bitfit=True),
    "lora+bitfit+meta": case(lora(), bitfit=True, meta=True),
    "lora+breaking": case(lora(), breaking=LAMBDA),
    "lora+bitfit+meta+breaking": case(lora(), bitfit=True, meta=True, breaking=LAMBDA),
    "lora+bitfit": case(lora(), bitfit=True, steps=True),
}
RESNET = {
    "lora-text": case(lora(encoder="text")),
    "bitfit": case(bitfit=True),
    "lora+bitfit+meta": case(lora(encoder="text"), bitfit=True, meta=True),
    "lora+bitfit": case(lora(encoder="text"), bitfit=True, steps=True),
}
MODELS = {"tiny": VIT, "open-clip-vit": VIT, "open-clip-resnet": RESNET}


def uniform(name, *shape, scale):
    """Seeded numbers, f64 that f32 holds."""
    values = seeded.uniform(f"training.{name}", int(np.prod(shape))) * np.float32(scale)
    return torch.from_numpy(values.reshape(shape)).double()


def unit(x):
    return F.normalize(x, dim=-1)


class Student:
    """One model with what a case trains, behind features and named parameters."""

    def __init__(self, name, settings):
        layout, config, _ = ARCHITECTURES[name]
        self.towers, self.lora = Towers(layout, config), settings["lora"]
        self.towers.fill("f32")
        self.model = self.towers.model.double().requires_grad_(False)
        self.hf, self.trained, self.wrapped = layout == "hf", {}, None
        self.width = config["projection_dim" if self.hf else "embed_dim"]
        if self.lora:
            self.add_lora()
        if settings["bitfit"]:
            biases = {plain(key): value for key, value in self.model.named_parameters() if key.endswith("bias")}
            self.trained |= {key: value.requires_grad_() for key, value in biases.items()}
        if settings["meta"]:
            self.meta = {key: value.requires_grad_() for key, value in meta_start(self.width).items()}
            self.trained |= self.meta

    def blocks(self):
        """(name, module) of the attention of each block that LoRA changes."""
        first, end = self.lora["layers"] or [0, 1 << 30]
        for key, module in self.model.named_modules():
            vision = key.startswith("vis")
            if key.endswith(".self_attn" if self.hf else ".attn") and self.lora["encoder"] in ("both", "vision" if vision else "text"):
                if first <= int(key.split(".")[-2]) < end:
                    yield key, module

    def add_lora(self):
        s = self.lora["alpha"] / (self.lora["rank"] ** 0.5 if self.lora["scaling"] == "rank-stabilised" else self.lora["rank"])
        if self.hf:
            targets = [f"{key}.{projection(p)}" for key, _ in self.blocks() for p in self.lora["projections"]]
            config = LoraConfig(
                r=self.lora["rank"], lora_alpha=self.lora["alpha"], lora_dropout=0.0, target_modules=targets,
                use_rslora=self.lora["scaling"] == "rank-stabilised", bias="none",
            )  # fmt: skip
            self.wrapped = get_peft_model(self.model, config).double().eval()
            self.trained = {plain(key): value for key, value in self.wrapped.named_parameters() if value.requires_grad}
            assert len(self.trained) == 2 * len(targets), (len(self.trained), targets)
            with torch.no_grad():
                for key, value in self.trained.items():
                    value.copy_(start(key, *value.shape))
            scalings = {m.scaling["default"] for m in self.model.modules() if hasattr(m, "scaling") and isinstance(m.scaling, dict)}
            assert all(abs(found - s) < 1e-12 for found in scalings), (scalings, s)
            return
        for key, attention in self.blocks():
            width, pairs = attention.embed_dim, {}
            for p in self.lora["projections"]:
                for side, shape in (("down", (self.lora["rank"], width)), ("up", (width, self.lora["rank"]))):
                    full = f"lora.{key}.{p}.{side}"
                    self.trained[full] = pairs[p, side] = start(full, *shape).requires_grad_()
            parametrize.register_parametrization(attention, "in_proj_weight", LowRank(pairs, ["q", "k", "v"], s))
            if "o" in self.lora["projections"]:
                parametrize.register_parametrization(attention.out_proj, "weight", LowRank(pairs, ["o"], s))

    def image(self, pixels):
        return unit(self.model.visual_projection(self.model.vision_model(pixel_values=pixels).pooler_output)
                    if self.hf else self.model.encode_image(pixels))  # fmt: skip

    def text(self, ids):
        return unit(self.model.text_projection(self.model.text_model(input_ids=ids).pooler_output)
                    if self.hf else self.model.encode_text(ids))  # fmt: skip

    def merged(self):
        """The same model with LoRA in its weights and nowhere else."""
        if self.wrapped is not None:
            self.model = self.wrapped.merge_and_unload()
        else:
            for module in [m for m in self.model.modules() if parametrize.is_parametrized(m)]:
                for which in list(module.parametrizations):
                    parametrize.remove_parametrizations(module, which, leave_parametrized=True)
        return self


class LowRank(torch.nn.Module):
    """W → W + s · B · A, the projections of a fused matrix one below the other."""

    def __init__(self, pairs, projections, scaling):
        super().__init__()
        self.pairs, self.projections, self.scaling = pairs, projections, scaling

    def forward(self, weight):
        rows = weight.chunk(len(self.projections))
        parts = [
            w + self.scaling * self.pairs[p, "up"] @ self.pairs[p, "down"] if (p, "up") in self.pairs else w
            for w, p in zip(rows, self.projections)
        ]
        return torch.cat(parts)


def projection(p):
    return "out_proj" if p == "o" else f"{p}_proj"


def plain(key):
    """PEFT's name of a parameter without what wrapping adds."""
    for part in ("base_model.model.", ".default", ".base_layer"):
        key = key.replace(part, "")
    return key


def start(key, *shape):
    """LoRA's start, A as large as a weight and B so that B · A is about a third of one: neither is zero."""
    down = "lora_A" in key or key.endswith(".down")
    return uniform(f"{key}.{min(shape)}", *shape, scale=(3 / shape[1]) ** 0.5 if down else 0.5)


def meta_start(width):
    return {
        "meta.query.weight": uniform("meta.query", width, width, scale=(3 / width) ** 0.5 * 8),
        "meta.key.weight": uniform("meta.key", width, width, scale=(3 / width) ** 0.5 * 8),
        "meta.gate.weight": uniform("meta.gate", 1, width, scale=1.0),
        "meta.gate.bias": torch.ones(1, 1, dtype=torch.float64) * 0.25,
    }


def prompts(towers):
    """Prompts that share their first words, as templates make them, one to three words of their own."""
    begin, top = (49406, 49406) if towers.vocabulary == 49408 else (1, towers.vocabulary - 2)
    draw = lambda name, count: [3 + int((u + 1) / 2 * (top - 3)) for u in seeded.uniform(name, count).astype(np.float64)]
    shared = draw("training.prompt", 5)
    return [[begin, *shared, *draw(f"training.prompt.{c}", 1 + c % 3), towers.vocabulary - 1] for c in range(CLASSES)]


def classifier(student, text, support):
    """Meta-Adapter, one class at a time, each with exactly its own shots."""
    weights, rows = student.meta, []
    for c, q in enumerate(text):
        seen = torch.cat([q[None], support[[i for i, label in enumerate(SUPPORT_LABELS) if label == c]]])
        attention = torch.softmax((weights["meta.query.weight"] @ q) @ (seen @ weights["meta.key.weight"].T).T / student.width**0.5, -1)
        gate = torch.sigmoid(weights["meta.gate.weight"][0] @ q + weights["meta.gate.bias"][0, 0])
        rows.append(unit(q + gate * (attention @ seen)))
    return torch.stack(rows)


def labels_for(probabilities):
    """The likeliest class for half of the pictures and the second for the others, so that the loss is neither 0 nor huge."""
    ranks = probabilities.argsort(-1, descending=True)
    return [int(ranks[i, i % 2]) for i in range(len(ranks))]


class Problem:
    """The batch of one architecture, and what the objective is on it."""

    def __init__(self, name):
        frozen = Student(name, case())
        towers = self.towers = frozen.towers
        self.pixels, one, other = torch.from_numpy(seeded.pixels(PICTURES + 2 * VIEWS, towers.side)).double().split([PICTURES, VIEWS, VIEWS])
        self.prompts, self.pad = prompts(towers), towers.end if ARCHITECTURES[name][0] == "hf" else 0
        self.ids, self.views = padded(self.prompts, towers.context, self.pad), [one, 0.5 * one + 0.5 * other]
        with torch.no_grad():
            text = frozen.text(self.ids)
            self.labels = labels_for(self.logits(Student(name, MODELS[name]["lora+bitfit"])))
        # Shots near their class's text and features near the views', as trained towers have them, so that no softmax saturates.
        width = frozen.width
        self.support = unit(text[SUPPORT_LABELS] + uniform("support", len(SUPPORT_LABELS), width, scale=(3 / width) ** 0.5)).float().double()
        with torch.no_grad():
            around = frozen.image(torch.cat(self.views))
        self.bank = unit(around + uniform("bank", 2 * VIEWS, width, scale=(3 / width) ** 0.5 * 0.3)).float().double()

    def logits(self, student):
        text = student.text(self.ids)
        weights = classifier(student, text, self.support) if hasattr(student, "meta") else text
        return SCALE * student.image(self.pixels) @ weights.T

    def loss(self, student, breaking):
        logits = self.logits(student)
        loss = F.cross_entropy(logits, torch.tensor(self.labels))
        if breaking:
            one, two = (student.image(view) for view in self.views)
            similar = SCALE * two @ torch.cat([one, self.bank]).T
            pairs = F.cross_entropy(similar, torch.arange(VIEWS))
            assert 0.05 < pairs < 20, pairs
            loss = loss + breaking * pairs
        return loss, logits


def adapter_names(names, hf_layout):
    """Adapter file's name → the checkpoint's, for all that is trained in any case."""
    out = {}
    for key in names:
        if key.startswith(("lora.", "meta.")):
            out[key.replace("meta.", "head.", 1) if key.startswith("meta.") else key] = [key]
        elif not hf_layout:
            out[f"bias.{key}"] = [key]
        else:
            out.setdefault(openai_name(key), []).append(key)
    for parts in out.values():
        if len(parts) == 3:  # transformers lists k, v, q
            parts.sort(key=lambda part: "qkv".index(part.split("self_attn.")[1][0]))
        assert len(parts) in (1, 3), parts
    return out


def openai_name(key):
    tower, rest = key.split(".", 1)
    prefix = "visual." if tower == "vision_model" else ""
    if not rest.startswith("encoder.layers."):
        for theirs, ours in (("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post"), ("final_layer_norm", "ln_final")):
            rest = rest.replace(theirs, ours)
        return f"bias.{prefix}{rest}"
    _, _, index, part = rest.split(".", 3)
    block = f"{prefix}transformer.resblocks.{index}"
    if ".lora_" in part:
        which, side = part.split(".")[1:3]
        return f"lora.{block}.attn.{which[0]}.{'down' if side == 'lora_A' else 'up'}"
    if part.startswith("self_attn") and "out_proj" not in part:
        return f"bias.{block}.attn.in_proj_bias"
    for theirs, ours in (("layer_norm", "ln_"), ("self_attn.out_proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")):
        part = part.replace(theirs, ours)
    return f"bias.{block}.{part}"


def run(name):
    problem, tensors, cases, names = Problem(name), {}, {}, []
    tensors |= {"support": problem.support, "bank": problem.bank}
    for title, settings in MODELS[name].items():
        student = Student(name, settings)
        loss, logits = problem.loss(student, settings["breaking"])
        gradients = torch.autograd.grad(loss, list(student.trained.values()))
        tensors[f"{title}.logits"] = logits
        largest = 0.0
        for key, value, gradient in zip(student.trained, student.trained.values(), gradients):
            tensors[f"{title}.gradient.{key}"] = gradient
            largest = max(largest, gradient.abs().max().item())
            if "lora" in key or key.startswith("meta."):
                prefix = "start.3" if settings["lora"]["rank"] == 3 else "start"
                tensors[f"{prefix}.{key}"] = value.detach().clone()
        names += [key for key in student.trained if key not in names]
        entry = {key: value for key, value in settings.items() if key != "steps"}
        entry |= {"parameters": sum(value.numel() for value in student.trained.values()), "loss": loss.item()}
        zero = [key for key, gradient in zip(student.trained, gradients) if gradient.abs().max() < 1e-9 * largest]
        # A key's bias moves all scores of a query alike, so softmax does not see it; everything else must have a gradient.
        assert all("k_proj.bias" in key for key in zero), zero
        probabilities = torch.softmax(logits, -1).max(-1).values
        print(f"| {name} | {title} | {entry['parameters']} | {loss.item():.4f} | {probabilities.min():.2f} – {probabilities.max():.2f} | {largest:.1e} |")
        assert 0.05 < loss.item() < 20, "a saturated loss proves little"
        if settings["steps"]:
            entry["steps"] = {"optimiser": OPTIMISER, "losses": [], "lrs": []}
            train(problem, student, settings, entry["steps"], lambda key, value: tensors.update({f"{title}.step.{key}": value}))
            student = Student(name, settings)
        if settings["lora"]:
            with torch.no_grad():
                tensors[f"{title}.merged"] = problem.logits(student.merged())
                assert (tensors[f"{title}.merged"] - logits).abs().max() < 1e-9
        cases[title] = entry
    save_file({key: value.detach().float().contiguous() for key, value in sorted(tensors.items())}, OUT / f"{name}.safetensors")
    write(name, {
        "architecture": name, "pictures": PICTURES, "labels": problem.labels, "prompts": problem.prompts, "pad": problem.pad,
        "scale": SCALE, "support_labels": SUPPORT_LABELS, "bank": 2 * VIEWS, "cases": cases,
        "names": adapter_names(names, ARCHITECTURES[name][0] == "hf"),
    })  # fmt: skip


def train(problem, student, settings, log, keep):
    optimiser = torch.optim.AdamW(
        student.trained.values(), lr=OPTIMISER["lr"], weight_decay=OPTIMISER["weight_decay"], eps=OPTIMISER["eps"], betas=OPTIMISER["betas"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=OPTIMISER["steps"], eta_min=OPTIMISER["final_lr"])
    for step in range(1, OPTIMISER["steps"] + 1):
        loss, _ = problem.loss(student, settings["breaking"])
        optimiser.zero_grad()
        loss.backward()
        log["losses"].append(loss.item())
        log["lrs"].append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
        for key, value in student.trained.items():
            if step != 2 and "k_proj.bias" not in key:
                keep(f"{step}.{key}", value.detach().clone())


def counts():
    """How many numbers each method trains on published sizes, by PEFT and by counting; weights are never made."""
    with torch.device("meta"):
        b16 = CLIPModel(CLIPConfig(**hf(vit(768, 12, 16, 224), text(512, 12), 512)))
        biases = sum(value.numel() for key, value in b16.named_parameters() if key.endswith("bias"))
        out = {"vit-b-16": {"bitfit": biases}}
        for title, targets in {
            "lora": r".*self_attn\.(q|k|v)_proj",
            "lora-vision": r"vision_model.*self_attn\.(q|k|v)_proj",
            "lora-text": r"text_model.*self_attn\.(q|k|v)_proj",
            "lora-qkvo": r".*self_attn\.(q|k|v|out)_proj",
        }.items():
            wrapped = get_peft_model(CLIPModel(b16.config), LoraConfig(r=2, lora_alpha=1, target_modules=targets))
            out["vit-b-16"][title] = wrapped.get_nb_trainable_parameters()[0]
        resnet = open_clip.model.CLIP(RN50["embed_dim"], RN50["vision_cfg"], RN50["text_cfg"], quick_gelu=True)
    found = {key: value.numel() for key, value in resnet.named_parameters() if key.endswith("bias")}
    vision = sum(count for key, count in found.items() if key.startswith("visual."))
    attention = [m for key, m in resnet.named_modules() if isinstance(m, torch.nn.MultiheadAttention) and not key.startswith("visual.")]
    out["rn50"] = {
        "bitfit": sum(found.values()),
        "bitfit-vision": vision,
        "bitfit-text": sum(found.values()) - vision,
        "lora-text": sum(3 * 2 * 2 * m.embed_dim for m in attention),
    }
    assert out["vit-b-16"]["lora"] == 184_320 and out["vit-b-16"]["bitfit"] == 171_008, out
    print(out)
    write("counts", out)


def write(name, value):
    """One JSON file, one line for each of its first-level entries, so that a change shows where it is."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items()]
    (OUT / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    torch.manual_seed(0)
    OUT.mkdir(exist_ok=True)
    counts()
    print("| model | case | parameters | loss | largest probability | largest gradient |\n|---|---|---|---|---|---|")
    for name in MODELS:
        run(name)


if __name__ == "__main__":
    main()
