"""A `Graph` as the bytes of a `.pt2` or `.onnx` file, and running those bytes."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from metacli.engine.exporting.graph import Arrays, Graph, Run
from metacli.engine.exporting.onnx_ops import TABLE
from metacli.engine.results.export import Meta

META = "metacli.json"  # the extra file of a .pt2


@dataclass(frozen=True)
class Format:
    """How a file of one kind is made, and how it is run."""

    make: Callable[[Graph, Meta], bytes]
    load: Callable[[bytes], Run]
    extra: str | None = None


def traced(graph: Graph) -> ExportedProgram:
    """The graph as torch sees it, without paths of this machine."""
    with quiet(), torch.no_grad():
        program = torch.export.export(graph.module, graph.example, dynamic_shapes=graph.dynamic())
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def to_pt2(graph: Graph, meta: Meta) -> bytes:
    """The bytes of a `.pt2`; `meta` lies in it as the extra file `metacli.json`."""
    program = traced(graph)
    with quiet():
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={META: json.dumps(meta)})
    return file.getvalue()


def run_pt2(data: bytes) -> Run:
    """The program in the bytes of a `.pt2`, read back as a user would."""
    with quiet():
        module = torch.export.load(io.BytesIO(data)).module()

    @torch.no_grad()
    def run(*arrays: np.ndarray) -> Arrays:
        found = module(*map(torch.from_numpy, arrays))
        return tuple(one.numpy() for one in ((found,) if isinstance(found, Tensor) else found))

    return run


def to_onnx(graph: Graph, meta: Meta) -> bytes:
    """The bytes of an `.onnx`; `meta` is in its metadata properties, each value as JSON."""
    program = traced(graph)
    with quiet(), torch.no_grad():
        made = torch.onnx.export(
            program.run_decompositions(TABLE),
            dynamo=True,
            verbose=False,
            input_names=[one.name for one in graph.inputs],
            output_names=[one.name for one in graph.outputs],
        )
    assert made is not None  # only without dynamo
    proto = made.model_proto
    for part in (*proto.graph.node, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]  # stack traces, with paths of this machine
    for part in proto.graph.value_info:
        del part.metadata_props[:]
    for function in proto.functions:
        for node in function.node:
            del node.metadata_props[:]
    for name, value in meta.items():
        text = value if isinstance(value, str) else json.dumps(value)
        proto.metadata_props.add(key=name, value=text)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def run_onnx(data: bytes) -> Run:
    """The model in the bytes of an `.onnx`, on onnxruntime's CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its remarks would go to stderr
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*arrays: np.ndarray) -> Arrays:
        return tuple(session.run(None, dict(zip(names, arrays, strict=True))))

    return run


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the exporters' remarks about themselves to themselves: deprecations and log lines."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


FORMATS: dict[str, Format] = {
    "pt2": Format(to_pt2, run_pt2),
    "onnx": Format(to_onnx, run_onnx, "onnx"),
}
