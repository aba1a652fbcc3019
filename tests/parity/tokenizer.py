"""Writes tokenizer.jsonl: 2,000 texts and their ids by transformers' CLIPTokenizerFast, one `[text, [ids]]` a line.

    python tests/parity/tokenizer.py

Needs transformers; versions that wrote the committed file are on its first line. Seeded, so a second run writes the same.
"""

import json
import random
import unicodedata
from pathlib import Path

import tokenizers
import transformers
from transformers import CLIPTokenizerFast

HERE = Path(__file__).parent
MODEL = HERE.parent.parent / "models" / "demo-clip"
COUNT = 2000

# First and last code point of the scripts and blocks that the texts are drawn from.
BLOCKS = {
    "latin": (0x41, 0x24F), "ipa": (0x250, 0x2AF), "marks": (0x300, 0x36F), "greek": (0x370, 0x3FF),
    "cyrillic": (0x400, 0x52F), "armenian": (0x531, 0x58A), "hebrew": (0x591, 0x5F4), "arabic": (0x600, 0x6FF),
    "devanagari": (0x900, 0x97F), "bengali": (0x980, 0x9FE), "tamil": (0xB82, 0xBFA), "thai": (0xE01, 0xE5B),
    "tibetan": (0xF00, 0xFDA), "georgian": (0x10A0, 0x10FF), "jamo": (0x1100, 0x11FF), "ethiopic": (0x1200, 0x137C),
    "cherokee": (0x13A0, 0x13FD), "khmer": (0x1780, 0x17F9), "mongolian": (0x1800, 0x18AA), "latin more": (0x1E00, 0x1EFF),
    "greek more": (0x1F00, 0x1FFE), "punctuation": (0x2000, 0x206F), "super": (0x2070, 0x209C), "currency": (0x20A0, 0x20C0),
    "letterlike": (0x2100, 0x218B), "arrows": (0x2190, 0x23FF), "enclosed": (0x2460, 0x24FF), "symbols": (0x2600, 0x27BF),
    "kana": (0x3041, 0x30FF), "cjk marks": (0x3000, 0x303F), "han": (0x4E00, 0x9FFF), "hangul": (0xAC00, 0xD7A3),
    "private": (0xE000, 0xE0FF), "compatibility": (0xF900, 0xFAD9), "presentation": (0xFB00, 0xFDFB),
    "full width": (0xFF01, 0xFFEE), "gothic": (0x10330, 0x1034A), "deseret": (0x10400, 0x1044F),
    "maths": (0x1D400, 0x1D7FF), "emoji": (0x1F300, 0x1F6FF), "emoji more": (0x1F900, 0x1F9FF), "tags": (0xE0020, 0xE007F),
}

FIXED = [
    "", " ", "   ", "\t\n\r", "\u00a0\u2003\u3000", "a photo of a cat.", "A PHOTO OF A CAT.", "a centered satellite photo of {}.",
    "<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|>", "<|ENDOFTEXT|>", "<|EndOfText|>!", "a<|ENDOFTEXT|>b", "!<|ENDOFTEXT|>!",
    "<|startoftext|>a dog<|endoftext|>", "a<|startoftext|>b<|endoftext|>c", "<|endoftext|><|endoftext|>", "<|startoftext|", "<|endoftext|>>",
    "< |endoftext|>", " <|endoftext|> ", "dog <|startoftext|> cat", "'<|endoftext|>s", "it's", "IT'S", "they're we've I'm he'll I'd don't",
    "'s", "''s", "'", "''", "it’s", "rock'n'roll", "'tis 'twas", "o'clock's", "1234567890", "3.14", "1,000,000", "½ ¼ ²³ ①②Ⅷ", "४५६ ٤٥٦",
    "İstanbul", "ISTANBUL ıi İI", "straße STRASSE ẞ", "ΟΔΥΣΣΕΥΣ Σ σ ς", "ὈΔΥΣΣΕΎΣ", "DŽ Dž dž", "ﬁ ﬂ ﬀ", "Å Å Å", "é é", "ế ế", "각 각",
    "\u0301a", "a\u0301\u0301\u0301", "q\u0307\u0323 q\u0323\u0307", "👩‍👩‍👧‍👦", "🏳️‍🌈 🇩🇪🇯🇵", "👍🏽", "🫠🪿", "❤️", "e\u200db", "zero\u200bwidth", "\ufeffbom",
    "\x00", "a\x00b", "\x01\x02\x7f", "\x1b[31mred", "a\x85b", "a\u180eb", "a\u2028b\u2029c", "soft\u00adhyphen", "tab\there", "new\nline",
    "http://example.org/a?b=c&d=%20", "user@example.org", "#tag @name $5 50% a_b a-b", "C:\\dir\\file.jpg", "<html>&amp;</html>", "{}[]()",
    "....", "!!!???", "—–-", "“quoted” ‘text’", "$$$", "a" * 3000, "ab" * 1000, "漢" * 500, "!" * 1000, "9" * 300, "a photo of a dog. " * 60,
    "</w>", "a</w>", "Ġ", "Ā", "ÿ þ", "\U0010ffff", "\ufffd",
]

WORDS = (
    "a an the photo picture of satellite centered forest river highway industrial buildings residential pasture sea lake crop "
    "circuit diagram texture pet food flower aircraft person doing cat dog bird car truck ship horse frog antidisestablishmentarianism "
    "photosynthesis Photograph McDonald iPhone USA e.g. i.e. isn't you're we'll state-of-the-art don't O'Neill naïve café Zürich "
    "Ångström piñata jalapeño déjà-vu Œuvre Łódź São Москва Ελλάδα 東京 서울 ไทย עברית العربية हिन्दी 2024 3D 4x4 mp3 1st 100%"
).split()
SPACES = [" ", " ", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2009", "\u3000", ""]


def assigned(block, chance):
    first, last = BLOCKS[block]
    while True:
        letter = chr(chance.randint(first, last))
        if unicodedata.category(letter) not in ("Cn", "Cs"):
            return letter


def script(chance):
    block = chance.choice(list(BLOCKS))
    return "".join(assigned(block, chance) if chance.random() < 0.85 else " " for _ in range(chance.randint(1, 30)))


def mixture(chance):
    return "".join(assigned(chance.choice(list(BLOCKS)), chance) for _ in range(chance.randint(1, 20)))


def caption(chance):
    words = [chance.choice(WORDS) for _ in range(chance.randint(1, 16))]
    words = [chance.choice([str, str, str.upper, str.title, str.swapcase])(word) for word in words]
    return "".join(word + chance.choice(SPACES) for word in words) + chance.choice(["", ".", "!", "?!", "…", ")"])


def marks(chance):
    letters = "".join(chance.choice("aeiouAEIOUnscyAO") + "".join(assigned("marks", chance) for _ in range(chance.randint(0, 3)))
                      for _ in range(chance.randint(1, 10)))
    return chance.choice([letters, unicodedata.normalize("NFD", letters), unicodedata.normalize("NFKD", caption(chance))])


def control(chance):
    return "".join(chr(chance.choice([chance.randint(0, 0x9F), chance.randint(32, 126)])) for _ in range(chance.randint(1, 40)))


def ascii_noise(chance):
    return "".join(chr(chance.randint(32, 126)) for _ in range(chance.randint(1, 60)))


def specials(chance):
    parts = ["<|startoftext|>", "<|endoftext|>", "<|EndOfText|>", "<|StartOfText|>", "<|", "|>", "'s", "'LL", " ", "x", "É", "!", "7"]
    return "".join(chance.choice(parts) for _ in range(chance.randint(1, 8)))


def main():
    chance = random.Random(20240611)
    kinds = [caption, caption, caption, script, script, mixture, marks, control, ascii_noise, specials]
    texts = list(dict.fromkeys(FIXED))
    seen = set(texts)
    while len(texts) < COUNT:
        text = chance.choice(kinds)(chance)
        if text not in seen:
            seen.add(text)
            texts.append(text)
    tokenizer = CLIPTokenizerFast.from_pretrained(MODEL)
    with open(HERE / "tokenizer.jsonl", "w", encoding="utf-8", newline="\n") as out:
        versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
        out.write(json.dumps(versions) + "\n")
        for text in texts:
            ids = tokenizer(text)["input_ids"]
            out.write(json.dumps([text, ids], ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
