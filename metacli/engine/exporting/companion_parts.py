"""The pieces that the `example.py` of an exported file is put together from. They run without
metacli, so they are text here."""

from __future__ import annotations

import shlex

from metacli.engine.results.export import TensorSpec

RUN = {
    "onnx": '''
def run(*inputs):
    """Arrays in the order of the inputs to arrays in the order of the outputs."""
    session = onnxruntime.InferenceSession(str(FILE), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs)))
''',
    "pt2": '''
def run(*inputs):
    """Arrays in the order of the inputs to arrays in the order of the outputs."""
    program = torch.export.load(FILE).module()
    with torch.no_grad():
        found = program(*(torch.from_numpy(one) for one in inputs))
    return [one.numpy() for one in ([found] if isinstance(found, torch.Tensor) else found)]
''',
}
IMPORT = {"onnx": "import onnxruntime", "pt2": "import torch"}
NEEDS = {"onnx": "onnxruntime", "pt2": "torch"}

_IMAGES_BEGIN = '''
def read(paths):
    """Images as float32 pixels 0 to 255, [number, channels, height, width]."""
    return np.stack([image_of(path) for path in paths])


def image_of(path):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.has_transparency_data:  # transparency is laid on white
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
'''
_CHANGED = """\
    image = changed(image.convert("L" if image.mode in ("1", "L") else "RGB"))
"""
_IN_MODE = """\
    image = image.convert(MODE)
"""
_CHANGES = '''

def changed(image):
    """As the images that the model learned from: grey, of all tones, inverted."""
    pixels = np.asarray(image.convert("L") if "grey" in CHANGES else image)
    if "contrast" in CHANGES:
        low, high = np.percentile(pixels, ENDS)
        if high > low:
            pixels = np.rint(np.clip((pixels - low) * (255 / (high - low)), 0, 255))
            pixels = pixels.astype(np.uint8)
    return Image.fromarray(255 - pixels if "invert" in CHANGES else pixels)
'''
_STRETCHED = """\
    if image.size != (WIDTH, HEIGHT):
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
"""
_MIDDLE = """\
    short = min(image.size)
    if max(image.size) > LONGEST * short:
        image = cut(image, *(min(side, LONGEST * short) for side in image.size))
    if short != SHORTER:
        scale = SHORTER / short
        sides = [SHORTER if side == short else int(side * scale) for side in image.size]
        image = image.resize(sides, Image.Resampling.BICUBIC)
    image = cut(image, WIDTH, HEIGHT)
"""
_IMAGES_END = """\
    pixels = np.asarray(image, dtype=np.float32).reshape(HEIGHT, WIDTH, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
"""
_CUT = '''

def cut(image, width, height):
    """The middle of an image."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
'''
_NUMBERS = '''
def read(words):
    """Each word is one example: its numbers with commas between them."""
    rows = [[float(one) for one in word.split(",")] for word in words]
    return np.array(rows, dtype=np.float32).reshape(len(rows), *SHAPE)
'''
_CELLS = '''
def read(paths):
    """The rows of a table as float64 cells, [rows, columns]."""
    with open(paths[0], newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    return np.array([[cell(row[name], *how) for name, *how in COLUMNS] for row in rows])


def cell(text, values, date):
    """A number or a part of a date, NaN where it is missing; or the place of a word among its
    column's values."""
    text = text.strip()
    if values is not None:
        return float(values.index(text)) if text in values else -1.0
    if text in MISSING:
        return float("nan")
    return part_of(text, **date) if date else float(text)
'''
DATES = '''

def part_of(text, part, order):
    """The year, month, day, weekday (Monday is 1) or hour of a date."""
    found = next((m for m in (re.fullmatch(one, text) for one in SHAPES[order]) if m), None)
    if found is None:
        raise SystemExit(f"{text!r} is no date in the order {order}")
    said = found.groupdict()
    if part == "hour":
        if said.get("hour") is None:
            return float("nan")
        hour = int(said["hour"])
        if said.get("half"):
            hour = hour % 12 + 12 * (said["half"].lower() == "pm")
        return hour + int(said["minute"]) / 60 + int(said["second"] or 0) / 3600
    months = "jan feb mar apr may jun jul aug sep oct nov dec".split()
    word = (said.get("word") or "")[:3].lower()
    month = months.index(word) + 1 if word else int(said["month"])
    year = int(said["year"])
    if len(said["year"]) == 2:
        year += 1900 if year >= 69 else 2000
    day = datetime.date(year, month, int(said.get("day") or 1))
    return float(day.isoweekday() if part == "weekday" else getattr(day, part))
'''
_TOKENS = '''
def tokens_of(texts):
    """Numbers of tokens, counted from 1 and 0 for none, [texts, tokens]."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = [one.ids for one in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    found = np.zeros((len(rows), LENGTH or max(1, *map(len, rows))), dtype=np.int64)
    for row, ids in zip(found, rows):
        row[: len(ids)] = np.array(ids[: len(row)], dtype=np.int64) + 1
    return found
'''
_COUNTS = '''
def counts_of(texts):
    """Signed counts of hashed n-grams of words and of characters, [texts, features]."""
    common = {"n_features": FEATURES, "norm": None}
    words = HashingVectorizer(ngram_range=WORDS, **common)
    parts = [words.transform(texts).toarray()]
    if CHARACTERS != (0, 0):
        letters = HashingVectorizer(analyzer="char_wb", ngram_range=CHARACTERS, **common)
        parts.append(letters.transform(texts).toarray())
    return np.concatenate(parts, 1).astype(np.float32)
'''
_READ_TEXTS = '''
def read(texts):
    """Texts as the inputs of the file take them."""
    return {found}
'''


EMBEDDED = '''
def read(texts):
    """Embeddings of texts, of length 1, [texts, numbers]."""
    model = SentenceTransformer(str(ENCODER), device="cpu", local_files_only=True)
    found = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(found, dtype=np.float32)
'''


def texts(*, tokens: bool, hashed: bool) -> str:
    """How texts are read: a list of arrays where there are two inputs."""
    made = [*(["tokens_of(texts)"] if tokens else []), *(["counts_of(texts)"] if hashed else [])]
    found = made[0] if len(made) == 1 else f"[{', '.join(made)}]"
    pieces = [*([_TOKENS] if tokens else []), *([_COUNTS] if hashed else [])]
    return "\n".join([*pieces, _READ_TEXTS.format(found=found)])


def images(spec: TensorSpec) -> str:
    """How images are read for an input."""
    fitted = _STRETCHED if spec.shorter is None else _MIDDLE
    before = _CHANGED if spec.changes else ""
    more = (_CUT if spec.shorter is not None else "") + (_CHANGES if spec.changes else "")
    return _IMAGES_BEGIN + before + _IN_MODE + fitted + _IMAGES_END + more


READ = {"cells": _CELLS, "numbers": _NUMBERS}
NAMED = {
    "cells": '''
def named(words, found):
    """Rows by their number."""
    return range(1, len(found) + 1)
'''
}
AS_GIVEN = '''
def named(words, found):
    """Examples as they were given."""
    return words
'''

GIVEN = '''
def given(words):
    """The inputs of the file."""
    found = read(words)
    return found if isinstance(found, list) else [found]
'''

LABELS = """
    words = sys.argv[1:]
    (found,) = run(*given(words))
    for name, row in zip(named(words, found), found):
        print(f"{name}\\t{LABELS[row.argmax()]}\\t{row.max():.4f}")
"""
VALUES = """
    words = sys.argv[1:]
    (found,) = run(*given(words))
    for name, row in zip(named(words, found), found):
        print(name, *(f"{one:.6g}" for one in row), sep="\\t")
"""
TASKS = """
    words = sys.argv[1:]
    outputs = run(read(words))
    for number, name in enumerate(named(words, outputs[0])):
        for (task, labels), found in zip(TASKS, outputs):
            row = found[number]
            answer = labels[row.argmax()] if labels else f"{row:.6g}"
            print(name, task, answer, sep="\\t")
"""
# How the support is given: what is known and the answers, before the queries in `words`.
SUPPORT = {
    "images": """
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    folders = sorted(one for one in folder.iterdir() if one.is_dir())
    pairs = [(path, one.name) for one in folders for path in sorted(one.iterdir())]
    known, answers = read([path for path, _ in pairs]), [answer for _, answer in pairs]
""",
    "cells": """
    table, target, *words = sys.argv[1:]
    with open(table, newline="", encoding="utf-8-sig") as file:
        answers = [row[target].strip() for row in csv.DictReader(file)]
    known = read([table])
""",
    "texts": """
    table, *words = sys.argv[1:]  # with columns text and label
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    known, answers = read([row["text"] for row in rows]), [row["label"] for row in rows]
""",
    "numbers": """
    points, words = sys.argv[1].split(), sys.argv[2:]  # such as "0.5:1.2 0.7:1.9" and 0.6
    x, answers = zip(*(point.split(":") for point in points))
    known = read(x)
""",
}
ADAPT_LABELS = """
    labels = sorted(set(answers))
    support_y = np.eye(WAY or len(labels), dtype=np.float32)[[labels.index(a) for a in answers]]
    (found,) = run(known, support_y, read(words))
    for name, row in zip(named(words, found), found):
        print(f"{name}\\t{labels[row.argmax()]}\\t{row.max():.4f}")
"""
ADAPT_VALUES = """
    support_y = np.array([[float(one) for one in a.split(",")] for a in answers], np.float32)
    (found,) = run(known, support_y, read(words))
    for name, row in zip(named(words, found), found):
        print(name, *(f"{one:.6g}" for one in row), sep="\\t")
"""


def begin_main(usage: str) -> str:
    """The beginning of what the script does: it says its words where they are missing, or asked
    for."""
    words = usage.replace(chr(34), chr(39))
    return f"""
if __name__ == "__main__":
    if len(sys.argv) <= {len(shlex.split(usage))} or sys.argv[1] in ("-h", "--help"):
        sys.exit(f"usage: python {{Path(__file__).name}} {words}")"""
