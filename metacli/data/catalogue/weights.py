"""The registry's entries of weights: networks that others trained on many images, by
torchvision's names of the networks.

They are the safetensors copies that timm keeps of torchvision's first weights for ImageNet, pinned
to a commit; torchvision's own files are pickles, which metacli does not read. Terms of ImageNet
bind whoever uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.data.cache import kept_files as task_files
from metacli.data.catalogue.entries import DataSet, plain_archive


@dataclass(frozen=True)
class NoOptions:
    """There are none."""


def _weights(arch: str, commit: str, size: int, sha256: str) -> DataSet:
    file = f"{arch}.safetensors"
    url = f"https://huggingface.co/timm/{arch}.tv_in1k/resolve/{commit}/model.safetensors"
    return DataSet(
        name=arch,
        kind="weights",
        loader="metacli.data.catalogue.weights:fetched_weights",
        builder="metacli.data.cache.kept_files:keep",
        options=NoOptions,
        archives=(plain_archive(file, (url,), size, "", sha256),),
        citation="K. He, X. Zhang, S. Ren, J. Sun, CVPR 2016; torchvision, IMAGENET1K_V1",
        licence="BSD-3-Clause; trained on ImageNet, whose terms of access bind",
        splits="none",
        summary=f"{arch} trained on ImageNet, to adapt: metacli adapt {arch} TASK",
    )


WEIGHTS = (
    _weights(
        *("resnet18", "bbd144b3e5565108aad885f145491d11bc6ce807", 46_807_446),
        "694f673df6520a3158624e8a89af086f59923ee4cd7436fe5bc3bc71d295ad81",
    ),
    _weights(
        *("resnet34", "1b7b21cca82ff974d341713f777bf740c2db38c4", 87_278_522),
        "0bb82595a564991a9d424708b33f5d843f5aaed7f6c0886ff10849ff97022235",
    ),
    _weights(
        *("resnet50", "78f3ecfdb38e06d9b8397f662e7ab8fee96026fa", 102_469_840),
        "5d061a3c593d795bfe682d9b152bafbcf550579873492def3515b46db1189888",
    ),
)


def fetched_weights(arch: str, cache: Path) -> Path:
    """The file that `metacli fetch` checked and kept, checked again.

    Raises:
        DataError: not fetched yet, or not what was written.
    """
    file = f"{arch}.safetensors"
    task_files.read_file(cache, arch, file)
    return cache / arch / file
