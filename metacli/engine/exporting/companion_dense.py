"""The example beside an exported model of dense tasks: images in, arrays and a row for each out."""

from __future__ import annotations

IMPORTS = """\
import sys
from pathlib import Path

import numpy as np
{runtime}
from PIL import Image, ImageOps
"""
MAIN = """
    words = sys.argv[1:]
    found = dict(zip(TASKS, run(read(words))))
    print("image", *CLASSES, "nearest", "farthest", "arrays", sep="\\t")
    for at, name in enumerate(words):
        labels, depth = found["segmentation"][at].argmax(0), found["depth"][at]
        shares = [f"{(labels == number).mean():.4f}" for number in range(len(CLASSES))]
        file = f"{Path(name).name}.npz"
        np.savez_compressed(file, segmentation=labels, depth=depth, normals=found["normals"][at])
        print(name, *shares, f"{depth.min():.6g}", f"{depth.max():.6g}", file, sep="\\t")
"""
