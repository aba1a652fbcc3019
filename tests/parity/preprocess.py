"""Writes pictures/ (small files of many formats) and expected/ (what Pillow makes of them, as lossless WebP).

    python tests/parity/preprocess.py

The reference for each file is the recipe that OpenAI's code, OpenCLIP and transformers' Pillow processor share:
open, turn upright by EXIF, convert to RGB, shorter side to the size with bicubic, centre crop. Needs Pillow and numpy.
"""

import io
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

HERE = Path(__file__).parent
PICTURES, EXPECTED = HERE / "pictures", HERE / "expected"
# At 224 pixels the expected values are large, so only these are committed there; at 64 all are.
AT_224 = ("jpeg-420-q75", "jpeg-odd-422", "jpeg-progressive", "png-rgb", "png-grey16", "webp-lossy", "exif-6", "png-1x1", "png-3x4000")


def scene(width, height, seed=0):
    """A picture with slopes, hard coloured edges and some texture, unlike its mirror images."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = [np.sin(2 * np.pi * (f * x + g * y) + p) for f, g, p in chance.uniform(0.3, 6, (3, 3))]
    pixels = np.stack(waves, -1) * 70 + 128 + chance.normal(0, 6, (height, width, 1))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255), (0, 0, 0), (255, 0, 255)):
        left, top = chance.uniform(0, 0.8, 2) * (width, height)
        draw.ellipse((left, top, left + width * 0.2 + 1, top + height * 0.15 + 1), fill=colour)
    return image


def png(width, height, depth, kind, rows, extra=b""):
    """A PNG of raw rows, for the kinds that Pillow cannot write."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9))
    return b"\x89PNG\r\n\x1a\n" + header + extra + data + chunk(b"IEND", b"")


def sixteen(width, height, channels, seed):
    values = np.random.default_rng(seed).integers(0, 65536, (height // 4 + 1, width // 4 + 1, channels))
    values = values.repeat(4, 0).repeat(4, 1)[:height, :width].astype(">u2")
    return [row.tobytes() for row in values]


def pictures():
    """Name with suffix → the file's bytes."""
    files = {}

    def save(name, image, kind, **options):
        out = io.BytesIO()
        image.save(out, kind, **options)
        files[name] = out.getvalue()

    photo = scene(120, 90)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        for quality in (30, 75, 95):
            save(f"jpeg-{name}-q{quality}.jpg", photo, "JPEG", subsampling=subsampling, quality=quality)
    save("jpeg-411.jpg", photo, "JPEG", subsampling="4:1:1", quality=80)
    save("jpeg-progressive.jpg", photo, "JPEG", progressive=True, quality=85)
    save("jpeg-progressive-444.jpg", photo, "JPEG", progressive=True, quality=92, subsampling=0)
    save("jpeg-restart.jpg", photo, "JPEG", quality=70, restart_marker_blocks=3)
    save("jpeg-optimised.jpg", photo, "JPEG", quality=100, optimize=True)
    save("jpeg-odd-420.jpg", scene(97, 61, 1), "JPEG", quality=80)
    save("jpeg-odd-422.jpg", scene(61, 97, 2), "JPEG", quality=80, subsampling=1)
    save("jpeg-odd-progressive.jpg", scene(35, 131, 3), "JPEG", quality=80, progressive=True)
    save("jpeg-grey.jpg", scene(77, 80, 4).convert("L"), "JPEG", quality=80)
    save("jpeg-grey-progressive.jpg", scene(77, 80, 4).convert("L"), "JPEG", quality=80, progressive=True)
    save("jpeg-cmyk.jpg", scene(50, 40, 5).convert("CMYK"), "JPEG", quality=85)
    save("jpeg-rgb.jpg", scene(50, 40, 5), "JPEG", quality=85, keep_rgb=True)
    save("jpeg-2x2.jpg", scene(2, 2, 5), "JPEG", quality=85)
    save("jpeg-1x9.jpg", scene(1, 9, 5), "JPEG", quality=85)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        save(f"exif-{orientation}.jpg", scene(80, 60, 6), "JPEG", quality=85, exif=exif)
    exif = Image.Exif()
    exif[0x112] = 6
    save("exif-png.png", scene(50, 40, 6), "PNG", exif=exif)
    save("exif-webp.webp", scene(50, 40, 6), "WEBP", exif=exif, quality=80)

    small = scene(60, 47, 7)
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 60).astype(np.uint8), (47, 1)))
    with_alpha = small.copy()
    with_alpha.putalpha(alpha)
    save("png-rgb.png", small, "PNG")
    save("png-rgba.png", with_alpha, "PNG")
    save("png-grey.png", small.convert("L"), "PNG")
    save("png-grey-alpha.png", with_alpha.convert("LA"), "PNG")
    save("png-palette.png", small.quantize(200), "PNG")
    save("png-palette-4bit.png", small.quantize(13), "PNG", bits=4)
    save("png-palette-transparent.png", small.quantize(20), "PNG", transparency=3)
    save("png-1bit.png", small.convert("1"), "PNG")
    slope = np.add.outer(np.arange(47) * 3, np.arange(60) * 4).astype(np.uint16)
    save("png-grey16.png", Image.fromarray(slope), "PNG")
    files["png-rgb16.png"] = png(31, 24, 16, 2, sixteen(31, 24, 3, 8))
    files["png-rgba16.png"] = png(31, 24, 16, 6, sixteen(31, 24, 4, 9))
    files["png-grey-alpha16.png"] = png(31, 24, 16, 4, sixteen(31, 24, 2, 10))
    save("png-1x1.png", Image.new("RGB", (1, 1), (200, 30, 99)), "PNG")
    save("png-3x4000.png", scene(3, 4000, 11), "PNG")
    save("png-4000x3.png", scene(4000, 3, 12), "PNG")
    save("png-64x64.png", scene(64, 64, 13), "PNG")
    save("png-65x67.png", scene(65, 67, 14), "PNG")
    save("webp-lossy.webp", scene(90, 77, 15), "WEBP", quality=75)
    save("webp-lossy-alpha.webp", with_alpha, "WEBP", quality=75)
    save("webp-lossless.webp", small, "WEBP", lossless=True)
    save("webp-lossless-alpha.webp", with_alpha, "WEBP", lossless=True, exact=True)
    save("gif.gif", small, "GIF")
    save("gif-transparent.gif", small.quantize(50), "GIF", transparency=7)
    save("bmp.bmp", scene(20, 15, 16), "BMP")
    save("bmp-palette.bmp", scene(20, 15, 16).quantize(30), "BMP")
    save("tiff.tiff", scene(20, 15, 17), "TIFF")
    save("tiff-lzw.tiff", scene(20, 15, 18), "TIFF", compression="tiff_lzw")
    save("tiff-grey.tiff", scene(20, 15, 19).convert("L"), "TIFF")
    return files


def reference(data, size):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    width, height = image.size
    if width <= height:
        target = (size, int(size * height / width))
    else:
        target = (int(size * width / height), size)
    # Only the part that the crop keeps is stored, so crop with transformers' offset, which rounds down.
    image = image.resize(target, Image.Resampling.BICUBIC)
    left, top = (target[0] - size) // 2, (target[1] - size) // 2
    return image.crop((left, top, left + size, top + size))


def main():
    for folder in (PICTURES, EXPECTED):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    for name, data in pictures().items():
        (PICTURES / name).write_bytes(data)
        for size in (64, 224) if name.startswith(AT_224) else (64,):
            reference(data, size).save(EXPECTED / f"{name}.{size}.webp", lossless=True, quality=100, method=6)


if __name__ == "__main__":
    main()
