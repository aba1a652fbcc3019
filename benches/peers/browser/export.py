"""The demo model as ONNX files, in the folder layout that transformers.js reads, with the features PyTorch gives.

    python benches/peers/browser/export.py [--model models/demo-clip] [--out benches/peers/browser/out]

Needs torch, transformers, onnx, onnxruntime, onnxscript and Pillow. Writes

    OUT/models/demo-clip/{config,preprocessor_config,tokenizer,tokenizer_config}.json
    OUT/models/demo-clip/onnx/{vision_model,text_model}.onnx              32-bit floats: the same numbers as lowshot's
    OUT/models/demo-clip/onnx/{vision_model,text_model}_fp16.onnx         16-bit floats: as many bytes as lowshot's
    OUT/models/demo-clip/onnx/{vision_model,text_model}_quantized.onnx    8-bit weights: what transformers.js takes by default
    OUT/tiles/*.jpg, OUT/expected.json                                    EuroSAT tiles and PyTorch's features of them

and fails if ONNX Runtime's 32-bit features of those tiles and labels differ from PyTorch's.
"""

import argparse
import json
import pathlib
import shutil
import tempfile

import numpy
import onnx
import onnxruntime
import torch
from onnxruntime import quantization
from onnxruntime.transformers.float16 import convert_float_to_float16
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

ROOT = pathlib.Path(__file__).resolve().parents[3]
LABELS = {
    "AnnualCrop": "a satellite photo of annual crop land",
    "Forest": "a satellite photo of forest",
    "Highway": "a satellite photo of a highway",
    "Residential": "a satellite photo of residential buildings",
    "SeaLake": "a satellite photo of a sea or lake",
}
TILES_A_CLASS = 2
TOLERANCE = 1e-5


class Vision(torch.nn.Module):
    def __init__(self, clip):
        super().__init__()
        self.tower, self.projection = clip.vision_model, clip.visual_projection

    def forward(self, pixel_values):
        return self.projection(self.tower(pixel_values=pixel_values).pooler_output)


class Text(torch.nn.Module):
    def __init__(self, clip):
        super().__init__()
        self.tower, self.projection = clip.text_model, clip.text_projection

    def forward(self, input_ids):
        return self.projection(self.tower(input_ids=input_ids).pooler_output)


def export(tower, example, name, output, axes, folder):
    """One tower as files, their weights inside. Returns a function that runs the 32-bit one."""
    path = folder / f"{output[0]}.onnx"
    # Of the forms tried (operator sets 14 to 23, fused attention or not, onnxslim, ONNX Runtime's optimiser for CLIP) none was
    # faster in ONNX Runtime than this plain one by more than 3 %; the optimiser's was a fifth slower.
    torch.onnx.export(
        tower, (example,), str(path), input_names=[name], output_names=[output[1]], dynamic_shapes={name: axes},
        opset_version=18, external_data=False, dynamo=True, verbose=False,
    )
    half = convert_float_to_float16(onnx.load(str(path)), keep_io_types=True)
    onnx.save(half, str(folder / f"{output[0]}_fp16.onnx"))
    with tempfile.TemporaryDirectory() as scratch:
        ready = pathlib.Path(scratch) / "ready.onnx"
        quantization.quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
        # As the peer's own files are made: every integer operator, unsigned where there is a convolution.
        convolves = any(node.op_type == "Conv" for node in onnx.load(str(ready)).graph.node)
        quantization.quantize_dynamic(
            str(ready), str(folder / f"{output[0]}_quantized.onnx"),
            weight_type=quantization.QuantType.QUInt8 if convolves else quantization.QuantType.QInt8,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda array: session.run(None, {name: array})[0]


def unit(features):
    return features / numpy.linalg.norm(features, axis=-1, keepdims=True)


def check(name, found, expected):
    difference = numpy.abs(unit(found) - unit(expected)).max()
    print(f"{name}: {len(expected)} of width {expected.shape[1]}, largest difference of unit features from PyTorch's {difference:.1e}")
    if not difference <= TOLERANCE:
        raise SystemExit(f"{name} differ from PyTorch's by more than {TOLERANCE}: the exported file is wrong")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/demo-clip")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "out")
    arguments = parser.parse_args()
    folder = arguments.out / "models" / arguments.model.name
    for made in (folder / "onnx", arguments.out / "tiles"):
        made.mkdir(parents=True, exist_ok=True)

    clip = CLIPModel.from_pretrained(arguments.model, dtype=torch.float32, attn_implementation="sdpa").eval()
    processor = CLIPProcessor.from_pretrained(arguments.model)
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(arguments.model / name, folder / name)

    files = [
        file
        for label in LABELS
        for file in sorted((ROOT / "samples/eurosat/2750" / label).glob("*.jpg"))[:TILES_A_CLASS]
    ]
    for file in files:
        shutil.copyfile(file, arguments.out / "tiles" / file.name)
    pixels = processor.image_processor([Image.open(file) for file in files], return_tensors="pt").pixel_values
    ids = processor.tokenizer(list(LABELS.values()), padding=True, return_tensors="pt").input_ids
    vision, text = Vision(clip).eval(), Text(clip).eval()
    with torch.inference_mode():
        images, texts = vision(pixels).numpy(), text(ids).numpy()

    batch = torch.export.Dim.DYNAMIC
    onnx_vision = export(vision, pixels[:2], "pixel_values", ("vision_model", "image_embeds"), {0: batch}, folder / "onnx")
    onnx_text = export(text, ids[:2], "input_ids", ("text_model", "text_embeds"), {0: batch, 1: batch}, folder / "onnx")
    check("image features", onnx_vision(pixels.numpy()), images)
    check("one image", onnx_vision(pixels[:1].numpy()), images[:1])
    check("text features", onnx_text(ids.numpy()), texts)

    expected = {
        "model": arguments.model.name,
        "scale": clip.logit_scale.exp().item(),
        "labels": list(LABELS.values()),
        "tiles": [file.name for file in files],
        "ids": ids.tolist(),
        "images": images.tolist(),
        "texts": texts.tolist(),
    }
    (arguments.out / "expected.json").write_text(json.dumps(expected))
    for file in sorted((folder / "onnx").iterdir()):
        print(f"{file.stat().st_size:>12,} bytes  {file}")


if __name__ == "__main__":
    main()
