"""An adapted model as one graph without metacli in it: `.pt2` or `.onnx` bytes, and running them.

Shape letters: B batch (dynamic), C H W one picture, N classes.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metacli.engine.bundle import Bundle
from metacli.nn.problem import Problem
from metacli.types import Params

Run = Callable[[np.ndarray], np.ndarray]
META = "metacli.json"  # the extra file of a .pt2
_TRACED = 2  # a batch of one would be taken for a constant


class Deployed(nn.Module):
    """Pixels 0..255 [B, C, H, W] to probabilities [B, N], or numbers to values.

    All weights are parameters or buffers of this module: exporters take nothing else along.
    """

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        problem = model.problem()
        self.classifies = model.kind == "classification"
        self.temperature = model.temperature
        self.learner = model.learner()
        self.network = copy.deepcopy(problem.module).requires_grad_(False)
        own = set(self.network.state_dict())
        self.network.load_state_dict({k: v for k, v in model.params.items() if k in own})
        rest = {k: v for k, v in model.params.items() if k not in own}
        self.names = {name: name.replace(".", "__") for name in rest}
        for name, value in rest.items():
            self.register_buffer(self.names[name], value.detach().clone())
        facts = {field.name: getattr(problem, field.name) for field in fields(problem)}
        self.problem = _Owned(**{**facts, "module": self.network})
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        params = {name: getattr(self, buffer) for name, buffer in self.names.items()}
        prediction = self.learner.predict(self.problem, params, x)
        return torch.softmax(prediction / self.temperature, 1) if self.classifies else prediction


class _Owned(Problem):
    """A problem whose network has its weights inside, for learners that only predict."""

    def embed(self, params: Params, x: Tensor, *, together: bool = False) -> Tensor:
        assert not together  # an export answers row by row
        found: Tensor = self.module(x)
        return found


@torch.no_grad()
def reference(model: Bundle, x: np.ndarray) -> np.ndarray:
    """What `predict` computes, for inputs as the data layer gives them: uint8 or float32."""
    from metacli.engine.rows import probabilities

    rows = torch.from_numpy(np.ascontiguousarray(x))
    if model.kind == "classification":
        return probabilities(model, rows).numpy()
    found: Tensor = model.learner().predict(model.problem(), model.params, rows)
    return found.numpy()


def describe(model: Bundle) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one input and the one output, as they are written into the file."""
    spec = model.inputs
    entrance: dict[str, Any] = {
        "name": "pixels",
        "dtype": "float32",
        "shape": ["batch", *spec.shape],
    }
    if spec.kind == "image":
        channels, height, width = spec.shape
        colour = "grey" if channels == 1 else "RGB"
        entrance["values"] = f"0 to 255, {colour}, as in the file, resized to {height}x{width}"
    else:
        entrance["name"] = "numbers"
    if model.classes is None:
        return entrance, {"name": "values", "dtype": "float32", "shape": ["batch", model.way]}
    size = len(model.classes)
    leave = {"name": "probabilities", "dtype": "float32", "shape": ["batch", size]}
    return entrance, {**leave, "labels": list(model.classes)}


def to_pt2(model: Bundle, meta: Mapping[str, Any]) -> bytes:
    """The bytes of a `.pt2`; `meta` lies in it as the extra file `metacli.json`."""
    deployed = Deployed(model)
    with quiet(), torch.no_grad():
        program = torch.export.export(deployed, _zeros(model), dynamic_shapes=_dynamic())
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={META: json.dumps(meta)})
    return file.getvalue()


def run_pt2(data: bytes) -> Run:
    """The program in the bytes of a `.pt2`, read back as a user would."""
    with quiet():
        module = torch.export.load(io.BytesIO(data)).module()

    @torch.no_grad()
    def run(x: np.ndarray) -> np.ndarray:
        found: Tensor = module(torch.from_numpy(x))
        return found.numpy()

    return run


def to_onnx(model: Bundle, meta: Mapping[str, Any]) -> bytes:
    """The bytes of an `.onnx`; `meta` is in its metadata properties, each value as JSON."""
    entrance, leave = describe(model)
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            Deployed(model),
            _zeros(model),
            None,
            dynamo=True,
            verbose=False,
            input_names=[entrance["name"]],
            output_names=[leave["name"]],
            dynamic_shapes=_dynamic(),
        )
        assert program is not None  # only without dynamo
        made = program.model_proto
    for part in (*made.graph.node, *made.graph.input, *made.graph.output, *made.graph.value_info):
        del part.metadata_props[:]  # stack traces, with paths of this machine
    for function in made.functions:
        for node in function.node:
            del node.metadata_props[:]
    for name, value in meta.items():
        text = value if isinstance(value, str) else json.dumps(value)
        made.metadata_props.add(key=name, value=text)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def run_onnx(data: bytes) -> Run:
    """The model in the bytes of an `.onnx`, on onnxruntime's CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its remarks would go to stderr
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run(None, {name: x})[0]
        return found

    return run


def _zeros(model: Bundle) -> tuple[Tensor]:
    """What is traced and stays in the file as its example: no picture of anybody's."""
    return (torch.zeros(_TRACED, *model.inputs.shape),)


def _dynamic() -> dict[str, Any]:
    return {"x": {0: torch.export.Dim("batch")}}


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
