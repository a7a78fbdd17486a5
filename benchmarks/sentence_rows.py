"""A sentence encoder beside `adapt DATA`, on the draws of own_data.py: logistic regression on
MiniLM, and SetFit on MiniLM. Needs the extra [text].

    python benchmarks/sentence_rows.py DATA WAY SHOT DRAWS [setfit]

writes what it finds into the row of results/own-data-DATA.json, under `sentence encoder`; draws
that are there stay.

Protocol, written before any of these draws was answered for: MiniLM is all-MiniLM-L6-v2, embeddings
of length 1; logistic regression is that of own_data.py, C by cross-validation. SetFit (Tunstall et
al. 2022) is the procedure of its paper in our own loop: 20 pairs of one class and 20 of two for
every example, batches of 16 pairs, one epoch, AdamW at 2e-5, the squared difference of the cosine
to 1 or 0; then the same logistic regression on the tuned encoder's embeddings. Nothing of it is
tuned on these data. Given with the paired difference of `adapt DATA` over all draws; SetFit, two
minutes each, for 10-way 5-shot alone.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from own_data import RESULTS, Intents, Labelled, interval, tuned
from sentence_transformers import SentenceTransformer
from sklearn.preprocessing import Normalizer
from torch.nn import functional as F

from metacli.data.cache.networks import fetch_model
from metacli.engine.storage.paths import cache_root

PAIRS, BATCH, RATE = 20, 16, 2e-5
KEY = "sentence encoder"


def opened() -> SentenceTransformer:
    """From the installed package, without a network."""
    folder = fetch_model("minilm", cache_root(), offline=True).path
    return SentenceTransformer(str(folder), local_files_only=True, device="cpu")


class Embedded:
    """Embeddings of texts, each computed once."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model = model
        self.known: dict[str, np.ndarray] = {}

    def of(self, texts: Sequence[str]) -> np.ndarray:
        fresh = [one for one in dict.fromkeys(texts) if one not in self.known]
        if fresh:
            found = self.model.encode(fresh, show_progress_bar=False, normalize_embeddings=True)
            self.known.update(zip(fresh, found, strict=True))
        return np.stack([self.known[one] for one in texts])


def pairs_of(support: Labelled, draw: np.random.Generator) -> list[tuple[str, str, float]]:
    """20 of one class and 20 of two for every example, shuffled."""
    found = []
    for at, (text, label) in enumerate(support):
        same = [one for n, (one, other) in enumerate(support) if other == label and n != at]
        apart = [one for one, other in support if other != label]
        for pool, wanted in ((same, 1.0), (apart, 0.0)):
            if pool:
                found += [(text, str(one), wanted) for one in draw.choice(pool, PAIRS)]
    return [found[at] for at in draw.permutation(len(found))]


def fine_tuned(model: SentenceTransformer, support: Labelled, seed: int) -> SentenceTransformer:
    """SetFit's first stage."""
    torch.manual_seed(seed)
    made = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(made.parameters(), lr=RATE)
    pairs = pairs_of(support, np.random.default_rng(seed))
    for first in range(0, len(pairs), BATCH):
        part = pairs[first : first + BATCH]
        texts = [a for a, _, _ in part] + [b for _, b, _ in part]
        z = made(made.tokenize(texts))["sentence_embedding"]
        cosine = F.cosine_similarity(z[: len(part)], z[len(part) :])
        loss = (cosine - torch.tensor([one for _, _, one in part])).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made.eval()


def accuracy(embedded: Embedded, support: Labelled, query: Labelled, shot: int) -> float:
    y, truth = (np.array([label for _, label in half]) for half in (support, query))
    model = tuned(embedded.of([text for text, _ in support]), y, shot, Normalizer())
    said = model.predict(embedded.of([text for text, _ in query]))  # type: ignore[attr-defined]
    return float(np.mean(said == truth))


def main(data: str, way: int, shot: int, draws: int, *, setfit: bool) -> None:
    path = RESULTS / f"own-data-{data}.json"
    result = json.loads(path.read_text())
    row = next(one for one in result["rows"] if (one["way"], one["shot"]) == (way, shot))
    source, model = Intents(data), opened()
    embedded = Embedded(model)
    found: dict[str, list[dict[str, float]]] = row.setdefault(KEY, {}).setdefault("draws", {})
    name = "SetFit on MiniLM" if setfit else "logistic regression on MiniLM"
    rows = found.setdefault(name, [])
    for number in range(len(rows), min(draws, len(row["draws"]))):
        begin = time.process_time()
        support, query = source.sampled(number, way, shot)
        used = Embedded(fine_tuned(model, support, number)) if setfit else embedded
        value = accuracy(used, support, query, shot)
        rows.append({"accuracy": value, "seconds": time.process_time() - begin})
        ours = [one["adapt"] for one in row["draws"][: len(rows)]]
        theirs = [one["accuracy"] for one in rows]
        row[KEY][name] = {
            "accuracy": interval(theirs),
            "adapt minus": interval([a - b for a, b in zip(ours, theirs, strict=True)]),
            "seconds": float(np.mean([one["seconds"] for one in rows])),
        }
        print(data, way, shot, number, name, value, ours[-1], flush=True)
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(words[0], *map(int, words[1:4]), setfit="setfit" in words[4:])
