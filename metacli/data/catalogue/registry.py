"""The data sets that metacli knows by name.

A new one is a file with an options dataclass and the functions `pool` and `build`, and one entry.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module

from metacli.data.catalogue.cifar import CifarOptions
from metacli.data.catalogue.class_entries import CLASS_SETS
from metacli.data.catalogue.digits import DigitOptions
from metacli.data.catalogue.entries import Archive, DataSet, idx_archive
from metacli.data.catalogue.glyphs import GlyphOptions
from metacli.data.catalogue.multi_task_entries import MULTI_TASK_SETS
from metacli.data.catalogue.omniglot import OmniglotOptions, characters
from metacli.data.catalogue.omniglot_alphabets import AlphabetOptions
from metacli.data.catalogue.options import Options, check_options
from metacli.data.catalogue.sinusoid import SinusoidOptions
from metacli.data.catalogue.text_entries import TEXT_SETS
from metacli.data.catalogue.weights import WEIGHTS
from metacli.data.few_shot.pools import SPLITS
from metacli.data.plain import Record
from metacli.data.tables_prior.generated import TableOptions
from metacli.errors import DataError

_OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"


def _omniglot_alphabets(background: bool) -> frozenset[str]:
    return frozenset(c.alphabet for c in characters() if c.background == background)


_OMNIGLOT_ARCHIVES = (
    Archive(
        name="images_background.zip",
        urls=(_OMNIGLOT + "images_background.zip",),
        bytes=9_464_212,
        md5="68d2efa1b9178cc56df9314c21c6e718",
        contents="eb75aa6be081c204abfe78313d66f6bef4f938f16bd534abf224bd3ef013672e",
        members=19_280,
        unpacked=4_810_560,
        suffix=".png",
        depth=3,
        groups=_omniglot_alphabets(True),
    ),
    Archive(
        name="images_evaluation.zip",
        urls=(_OMNIGLOT + "images_evaluation.zip",),
        bytes=6_462_886,
        md5="6b91aef0f799c5bb55b94e3f2daec811",
        contents="f146e5f2bd39204cb41f490123c234c0593d66ebe6a2547031004fd0dd6010f6",
        members=13_180,
        unpacked=3_371_735,
        suffix=".png",
        depth=3,
        groups=_omniglot_alphabets(False),
    ),
)
_CIFAR = Archive(
    name="cifar_fs_subset.zip",
    urls=(),
    bytes=39_078_782,
    md5="bbea7a1c2c81a6299bf8ec2d41362f53",
    contents="fb04d1a4a2b818e976fe68b289046026f7e90f979c0a324e657c939720142fce",
    members=16_400,
    unpacked=36_684_238,
    suffix=".png",
    depth=3,
    groups=frozenset(SPLITS),
    source="its PNG files are of github.com/cyizhuo/CIFAR-100-dataset, train/ and test/ joined: of "
    "each class those whose git blob SHA-1 comes first, 200 of a training class and 100 of a "
    "validation or test class, as train|val|test/<class>/<name>.png",
    other=Archive(
        name="cifar-100-binary.tar.gz",
        urls=("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
        bytes=168_513_733,
        md5="03b5dce01913d631647c71ecec9e9cb8",
        contents="c79aef218e85b98bb6424a107956a97dcc3a5b61e265ce19b52cdfea9b955966",
        members=16_400,
        unpacked=16_400 * 3_072,
        suffix=".bin",
        depth=1,
        groups=frozenset(),
        packing="cifar",
        source="the binary version of CIFAR-100 on its authors' page",
    ),
)
_CIFAR_LICENCE = "none stated; the authors of CIFAR ask to be cited"
_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_KANNADA = (
    "https://raw.githubusercontent.com/vinayprabhu/Kannada_MNIST/master/data/output_tensors/"
    "MNIST_format/",
)


DATASETS: dict[str, DataSet] = {
    one.name: one
    for one in (
        DataSet(
            name="glyphs",
            kind="images",
            loader="metacli.data.catalogue.glyphs:pool",
            builder="metacli.data.catalogue.glyphs:build",
            options=GlyphOptions,
            archives=(),
            citation="made by metacli",
            licence="MIT",
            splits="38/10/12 alphabets of 20 to 24 characters",
            summary="invented characters, 20 drawings each, 28x28; nothing to download",
            ink=True,
        ),
        DataSet(
            name="omniglot",
            kind="images",
            loader="metacli.data.catalogue.omniglot:pool",
            builder="metacli.data.catalogue.omniglot:build",
            options=OmniglotOptions,
            archives=_OMNIGLOT_ARCHIVES,
            citation="B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Science 350 (2015) 1332-1338",
            licence="MIT",
            splits="scheme vinyals 1028/172/423 characters x 4 rotations; random 1100/100/423; "
            "background 964 (its last 5 alphabets val) and 659; background-within the same, "
            "each episode within one alphabet",
            summary="1,623 handwritten characters of 50 alphabets, 20 drawings each",
            ink=True,
        ),
        DataSet(
            name="cifar-fs",
            kind="images",
            loader="metacli.data.catalogue.cifar:cifar_fs",
            builder="metacli.data.catalogue.cifar:build",
            options=CifarOptions,
            archives=(_CIFAR,),
            citation="A. Krizhevsky 2009; L. Bertinetto, J. Henriques, P. Torr, A. Vedaldi, "
            "ICLR 2019",
            licence=_CIFAR_LICENCE,
            splits="64/16/20 classes of 200/100/100 images",
            summary="photographs of 100 things, 32x32 in colour: a part of CIFAR-FS",
        ),
        DataSet(
            name="fc100",
            kind="images",
            loader="metacli.data.catalogue.cifar:fc100",
            builder="metacli.data.catalogue.cifar:build",
            options=CifarOptions,
            archives=(_CIFAR,),
            citation="A. Krizhevsky 2009; B. Oreshkin, P. Rodriguez, A. Lacoste, NeurIPS 2018",
            licence=_CIFAR_LICENCE,
            splits="12/4/4 superclasses, 60/20/20 classes of 100 or 200 images",
            summary="the images of cifar-fs, divided by superclass as FC100",
            shares="cifar-fs",
        ),
        DataSet(
            name="mnist",
            kind="images",
            loader="metacli.data.catalogue.digits:mnist",
            builder="metacli.data.catalogue.digits:build",
            options=DigitOptions,
            archives=(
                idx_archive(
                    *("t10k-images-idx3-ubyte", _MNIST, 1_648_877),
                    "9fb629c4189551a2d022fa330f9573f3",
                    "296b13358cc9faecbe4cdf73d5f9b26fa01fc440d90e1a982018ac5b20c77560",
                    7_840_016,
                ),
                idx_archive(
                    *("t10k-labels-idx1-ubyte", _MNIST, 4_542),
                    "ec29112dd5afa0611ce80d1b7f02629c",
                    "632f82c7bfb582ecad47a93e35c7000f1265f26f816ce51b24b17c5c40e1b943",
                    10_008,
                ),
            ),
            citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proc. IEEE 86 (1998)",
            licence="none stated",
            splits="test only: 10 classes of 892 to 1,135 images",
            summary="handwritten digits, the test part: to evaluate what learned elsewhere",
            ink=True,
        ),
        DataSet(
            name="kannada-mnist",
            kind="images",
            loader="metacli.data.catalogue.digits:kannada_mnist",
            builder="metacli.data.catalogue.digits:build",
            options=DigitOptions,
            archives=(
                idx_archive(
                    *("X_kannada_MNIST_test-idx3-ubyte", _KANNADA, 1_120_203),
                    "8682876e8fbc8cd0e7bb07fc2f502335",
                    "323c3b7241e664592db2ca8974c0cddcdb5f28735aedb037c35c9a08420b6154",
                    7_840_016,
                ),
                idx_archive(
                    *("y_kannada_MNIST_test-idx1-ubyte", _KANNADA, 103),
                    "b426d27d50a5fd8411b9e5838868be4b",
                    "6f9f286f0f6b8cc80fcb9f8b6ba93a985ce7511f09eb236b96497b151b814547",
                    10_008,
                ),
            ),
            citation="V. U. Prabhu, arXiv:1908.01242 (2019)",
            licence="none stated",
            splits="test only: 10 classes of 1,000 images",
            summary="handwritten Kannada digits, the test part: to evaluate what learned elsewhere",
            ink=True,
        ),
        DataSet(
            name="sinusoid",
            kind="waves",
            loader="metacli.data.catalogue.sinusoid:Sinusoids",
            builder="",
            options=SinusoidOptions,
            archives=(),
            citation="C. Finn, P. Abbeel, S. Levine, ICML 2017, section 5.1",
            licence="MIT",
            splits="every split draws its own waves",
            summary="sine waves of random amplitude and phase; nothing to download",
        ),
        DataSet(
            name="generated-tables",
            kind="tables",
            loader="metacli.data.tables_prior.generated:GeneratedTables",
            builder="",
            options=TableOptions,
            archives=(),
            citation="made by metacli",
            licence="MIT",
            splits="every split draws its own tables",
            summary="tables of random causal models, of classes or values, for meta-training "
            "tables-prior; nothing to download",
        ),
        *CLASS_SETS,
        *TEXT_SETS,
        *MULTI_TASK_SETS,
        DataSet(
            name="omniglot-alphabets",
            kind="tasks",
            loader="metacli.data.catalogue.omniglot_alphabets:alphabets",
            builder="metacli.data.catalogue.omniglot:build",
            options=AlphabetOptions,
            archives=_OMNIGLOT_ARCHIVES,
            citation="B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Science 350 (2015) 1332-1338",
            licence="MIT",
            splits="5 of 20 drawings of each character are test, 3 validation, drawn by split_seed",
            summary="the characters of 30 alphabets; a task per alphabet",
            ink=True,
            shares="omniglot",
        ),
        *WEIGHTS,
    )
}


def find(name: str) -> DataSet:
    """The data set of that name.

    Raises:
        DataError: unknown name, with the nearest ones.
    """
    if name in DATASETS:
        return DATASETS[name]
    near = difflib.get_close_matches(name, DATASETS, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(DATASETS)}"
    raise DataError("no such data set", code="data.unknown", where=name, hint=hint)


def make_options(of: DataSet, options: Record) -> Options:
    """The options dataclass of a data set, checked.

    Raises:
        DataError: an unknown option, a value of the wrong type, or one that the data set refuses.
    """
    return check_options(of.name, of.options, options)


def resolve(reference: str) -> Callable[..., object]:
    """The function that a `module:function` names; whoever calls it checks what it gives."""
    module, _, name = reference.partition(":")
    found: Callable[..., object] = vars(import_module(module))[name]
    return found
