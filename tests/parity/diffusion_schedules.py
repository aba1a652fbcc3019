"""What diffusers' schedulers make of a given sequence of network outputs, after every step.

Each case is a config as a file would hold it, the class that is used with it (which may be another than the file's), a number of
steps and the step that sampling begins at. The clean sample, its noise, the outputs and the fresh noise are seeded (`values`), so only
what comes out is stored: the timesteps, what the network would see at each, and the sample before the first and after every step.

diffusers keeps noise levels in f32, where `1 - alpha` of the first timesteps has four digits left. Here it computes in f64 (`exact`),
so that the reference has no rounding of its own.
"""

import contextlib
import math
from unittest import mock

import diffusers
import numpy as np
import torch

import seeded

SHAPE = [1, 2, 3, 4]
SD1 = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
SD2 = {**SD1, "_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
TURBO = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "trailing",
    "timestep_type": "discrete",
    "use_karras_sigmas": False,
}
LCM = {
    "_class_name": "LCMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "clip_sample_range": 1.0,
    "dynamic_thresholding_ratio": 0.995,
    "num_train_timesteps": 1000,
    "original_inference_steps": 50,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "sample_max_value": 1.0,
    "set_alpha_to_one": True,
    "steps_offset": 1,
    "thresholding": False,
    "timestep_scaling": 10.0,
    "timestep_spacing": "leading",
    "trained_betas": None,
}
CLASSES = {
    "ddim": "DDIMScheduler",
    "pndm": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-ancestral": "EulerAncestralDiscreteScheduler",
    "dpm++2m": "DPMSolverMultistepScheduler",
    "lcm": "LCMScheduler",
}
V, X0 = {"prediction_type": "v_prediction"}, {"prediction_type": "sample"}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", **V}
TRAINED = {"num_train_timesteps": 40, "trained_betas": [round(0.002 * 1.1**t, 6) for t in range(40)], "original_inference_steps": 20}


def cases() -> list[tuple[str, dict, int, int]]:
    """Scheduler, config, steps, first step."""
    out = []
    for kind in CLASSES:
        # Stable Diffusion 1.x's own file, read for every scheduler: whole, and from the middle as for a strength.
        out += [(kind, SD1, 8, 0), (kind, SD1, 8, 5), (kind, SD1, 25, 0), (kind, {**SD1, **V}, 7, 3)]
        if kind not in ("pndm", "euler-ancestral"):
            out.append((kind, {**SD1, **X0}, 6, 0))
        out += [(kind, {**SD1, **COSINE}, 5, 0), (kind, {**SD1, **TRAINED}, 6, 2)]
        # Nothing but the class: every default.
        out.append((kind, {"_class_name": CLASSES[kind]}, 9, 0))
        for spacing in ("leading", "linspace", "trailing"):
            if kind != "lcm":
                out.append((kind, {**SD1, "timestep_spacing": spacing}, 7, 2))
        if kind != "pndm":
            out += [(kind, {**SD1, **ZERO_SNR}, 5, 0)]
        out += [(kind, SD1, steps, 0) for steps in (1, 2, 3)]
    prk = {**SD1, "skip_prk_steps": False}
    return out + [
        ("ddim", SD2, 50, 35),
        ("ddim", {**SD1, "clip_sample": True}, 5, 0),
        ("ddim", {**SD1, "clip_sample": True, "clip_sample_range": 0.5, "set_alpha_to_one": True, **V}, 5, 0),
        ("pndm", prk, 10, 0),
        ("pndm", {**prk, **V}, 6, 0),
        ("pndm", {**prk, "set_alpha_to_one": True}, 4, 0),
        *[("euler", TURBO, steps, start) for steps, start in ((1, 0), (2, 1), (4, 0), (4, 2))],
        ("euler", {**SD1, "use_karras_sigmas": True}, 8, 2),
        ("euler", {**SD1, "use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0}, 6, 0),
        ("euler", {**SD1, "final_sigmas_type": "sigma_min"}, 6, 0),
        ("dpm++2m", {**SD1, "use_karras_sigmas": True}, 8, 2),
        ("dpm++2m", {**SD1, **COSINE, "use_karras_sigmas": True}, 8, 0),
        ("dpm++2m", {**SD1, **COSINE, "lambda_min_clipped": -5.1}, 8, 0),
        ("dpm++2m", {**SD1, "lambda_min_clipped": -math.inf, "final_sigmas_type": "sigma_min"}, 8, 0),
        ("dpm++2m", {**SD1, "lower_order_final": False, "final_sigmas_type": "sigma_min"}, 8, 0),
        ("dpm++2m", {**SD1, "euler_at_final": True, "final_sigmas_type": "sigma_min"}, 16, 8),
        ("dpm++2m", {**SD1, "final_sigmas_type": "sigma_min"}, 16, 8),
        ("dpm++2m", {**SD1, "algorithm_type": "deis", "solver_type": "logrho", "final_sigmas_type": "sigma_min"}, 5, 0),
        ("lcm", LCM, 4, 0),
        ("lcm", LCM, 4, 2),
        ("lcm", {**LCM, "original_inference_steps": 20, "timestep_scaling": 3.0}, 7, 0),
        ("lcm", {**LCM, "clip_sample": True}, 3, 0),
    ]


def values(name: str) -> torch.Tensor:
    """Seeded numbers of unit variance, f32 in f64."""
    return torch.from_numpy(seeded.uniform(name, math.prod(SHAPE)) * np.float32(math.sqrt(3))).reshape(SHAPE).double()


@contextlib.contextmanager
def exact():
    """Where diffusers asks for f32 it gets f64."""
    with mock.patch.object(torch, "float32", torch.float64), mock.patch.object(np, "float32", np.float64):
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float)


def run(kind: str, config: dict, steps: int, start: int) -> tuple[list[float], torch.Tensor, torch.Tensor]:
    """Timesteps of the whole schedule; what the network would see `[made, …]`; samples before, between and after `[made + 1, …]`."""
    with exact():
        scheduler = getattr(diffusers, CLASSES[kind]).from_config(config)
        scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(start)
    x = scheduler.add_noise(values("schedule.clean"), values("schedule.start"), timesteps[start : start + 1])
    module = __import__(type(scheduler).__module__, fromlist=["_"])
    seen, samples = [], [x]
    for index in range(start, len(timesteps)):
        output, fresh = values(f"schedule.output.{index}"), values(f"schedule.noise.{index}")
        with exact(), mock.patch.object(module, "randn_tensor", lambda *_, **__: fresh, create=True):
            seen.append(scheduler.scale_model_input(x, timesteps[index]))
            x = scheduler.step(output, timesteps[index], x).prev_sample
        samples.append(x)
    assert x.dtype == torch.double
    return timesteps.tolist(), torch.cat(seen).float(), torch.cat(samples).float()


def original(steps: int, strength: float) -> tuple[int, torch.Tensor]:
    """The first step and the samples of Stable Diffusion's original code, `scripts/img2img.py` with `ldm/models/diffusion/ddim.py`
    (CompVis, CreativeML Open RAIL-M), eta 0: its formulas in f64, the outputs in the order of the steps."""
    alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    ddim_timesteps = np.asarray(list(range(0, 1000, 1000 // steps))) + 1
    ddim_alphas = alphas[ddim_timesteps]
    ddim_alphas_prev = np.asarray([alphas[0], *alphas[ddim_timesteps[:-1]]])
    t_enc = int(strength * steps)
    clean, noise = values("schedule.clean"), values("schedule.start")
    x = np.sqrt(ddim_alphas[t_enc]) * clean + np.sqrt(1 - ddim_alphas[t_enc]) * noise
    samples = [x]
    for i, step in enumerate(np.flip(ddim_timesteps[:t_enc])):
        index = t_enc - i - 1
        e_t = values(f"schedule.output.{steps - t_enc + i}")
        pred_x0 = (x - np.sqrt(1 - ddim_alphas[index]) * e_t) / np.sqrt(ddim_alphas[index])
        x = np.sqrt(ddim_alphas_prev[index]) * pred_x0 + np.sqrt(1 - ddim_alphas_prev[index]) * e_t
        samples.append(x)
    return steps - t_enc, torch.cat(samples).float()


def reference() -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Descriptions of all cases, and their tensors by the case's number."""
    described, tensors = [], {}
    for number, (kind, config, steps, start) in enumerate(cases()):
        timesteps, seen, samples = run(kind, config, steps, start)
        assert samples.isfinite().all(), (kind, config, steps, start)
        described.append({"scheduler": kind, "config": config, "steps": steps, "start": start, "timesteps": timesteps})
        tensors[f"{number}.samples"] = samples
        if kind.startswith("euler"):
            tensors[f"{number}.seen"] = seen
    for steps, strength in ((50, 0.3), (20, 0.6)):
        start, samples = original(steps, strength)
        described.append({"scheduler": "ddim", "config": SD1, "steps": steps, "strength": strength, "start": start})
        tensors[f"{len(described) - 1}.samples"] = samples
    return described, tensors
