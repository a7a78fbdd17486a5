"""The mean gradient of a meta-batch by a compiled program, or its mean direction: that of one chunk
of tasks is written out as one graph of tensor operations, and that becomes C++.

Compiling takes half a minute to some minutes, once for a shape of chunk: torch keeps the program
on the disk for the next run (`keep_programs`). It runs without Python, one chunk on one thread.
Its sums are ordered as the compiler wants them, so its bits are those of one machine.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from metacli.autodiff import (
    Part,
    added,
    attached,
    divided,
    in_order,
    num_tasks,
    part_direction,
    part_gradient,
)
from metacli.errors import EnvironmentProblem
from metacli.types import Batch, Episode, Metrics, Params

GivenLoss = Callable[[Params, Params, Episode], tuple[Tensor, Metrics]]
"""(θ, what else the loss is made of, one episode) -> (loss, metrics). A program keeps no numbers,
so all of them come in."""
GivenDirection = Callable[[Params, Params, Episode], tuple[Params, Metrics]]
"""The same for a direction that is not a gradient."""
OfPart = Callable[[Params, Params, Episode], Part]
"""(θ, what else it is made of, one chunk) -> what it adds."""
OPTIONS = {
    "cpp_wrapper": True,  # one call for a chunk, which leaves Python to the other threads
    "cpp.threads": 1,
}
# They warn of what nobody can act on: no GPU, operations that are called in place of being written.
TALKATIVE = ("torch.utils.cpp_extension", "torch._inductor.ir")
HINT = (
    "install g++ and Python's header files (CXX names another compiler), or begin with "
    "train.execution=vmap"
)


def require_compiler() -> None:
    """Raises EnvironmentProblem where there is no C++ compiler."""
    if shutil.which(compiler()) is None:
        raise no_compiler(f"{compiler()} was not found")


def can_compile() -> bool:
    """Whether there is a C++ compiler, and it finds Python's header files."""
    if shutil.which(compiler()) is None:
        return False
    words = [compiler(), "-fsyntax-only", f"-I{sysconfig.get_path('include')}", "-xc++", "-"]
    tried = subprocess.run(words, input=b"#include <Python.h>\n", capture_output=True, check=False)
    return tried.returncode == 0


def compiler() -> str:
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")


def keep_programs(folder: Path) -> None:
    """Where programs stay between runs, unless the user has named a place to torch."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def no_compiler(found: str) -> EnvironmentProblem:
    message = f"train.execution=compiled needs a C++ compiler: {found}"
    return EnvironmentProblem(message, code="environment.no_compiler", hint=HINT)


@dataclass(frozen=True)
class Programs:
    """Programs of one problem.

    Args:
        kept: where they are between calls, by what they depend on.
    """

    kept: dict[Hashable, Callable[[list[Tensor]], Part]]

    def mean_gradient(
        self,
        fn: GivenLoss,
        params: Params,
        given: Params,
        episodes: Episode,
        chunk: int,
        name: Hashable,
    ) -> Part:
        """As `autodiff.mean_gradient`.

        Args:
            name: what `fn` depends on besides its arguments.

        Raises:
            EnvironmentProblem: there is no C++ compiler, or the numbers are not in the CPU's
                memory.
        """
        total = num_tasks(episodes)

        def of_part(theta: Params, rest: Params, tasks: Episode) -> Part:
            loss = lambda moved, task: fn(moved, rest, task)  # noqa: E731
            return part_gradient(loss, attached(theta), tasks, chunk, total)

        return self.found(of_part, params, given, divided(episodes, chunk), (name, chunk, total))

    def mean_direction(
        self,
        fn: GivenDirection,
        params: Params,
        given: Params,
        episodes: Episode,
        chunk: int,
        name: Hashable,
    ) -> Part:
        """As `autodiff.mean_direction`; arguments and errors as of `mean_gradient`."""
        total = num_tasks(episodes)

        def of_part(theta: Params, rest: Params, tasks: Episode) -> Part:
            one = lambda task: fn(theta, rest, task)  # noqa: E731
            direction, metrics = part_direction(one, tasks, chunk, total)
            # A part of it may be among the arguments of the next step, laid out as in this one.
            return {name: value.contiguous() for name, value in direction.items()}, metrics

        return self.found(of_part, params, given, divided(episodes, chunk), (name, chunk, total))

    def found(
        self, of_part: OfPart, params: Params, given: Params, parts: list[Episode], name: Hashable
    ) -> Part:
        """What the parts add up to, in their order."""
        for part in parts:  # before there are threads
            key = key_of(name, params, given, part)
            if key not in self.kept:
                self.kept[key] = compile_part(of_part, params, given, part)
        one = lambda part: self.kept[key_of(name, params, given, part)](  # noqa: E731
            listed(params, given, part)
        )
        return added(in_order(one, parts))


def key_of(name: Hashable, params: Params, given: Params, part: Episode) -> Hashable:
    return name, tuple((value.shape, value.dtype) for value in listed(params, given, part))


@dataclass(frozen=True)
class Program:
    """Tensors, as `listed`, to what a chunk adds. The metrics come behind the rest."""

    call: Callable[..., Sequence[Tensor]]
    directions: tuple[str, ...]
    metrics: tuple[str, ...]

    def __call__(self, values: list[Tensor]) -> Part:
        with torch.no_grad():
            found = self.call(*values)
        count = len(self.directions)
        direction = dict(zip(self.directions, found[:count], strict=True))
        return direction, dict(zip(self.metrics, found[count:], strict=True))


def compile_part(of_part: OfPart, params: Params, given: Params, part: Episode) -> Program:
    values = listed(params, given, part)
    if any(value.device.type != "cpu" for value in values):
        message = "train.execution=compiled is for the CPU"
        raise EnvironmentProblem(message, code="environment.device", hint="--device cpu")
    graph, directions, metrics = written_out(of_part, params, given, part)
    return Program(to_cpp(graph, values), directions, metrics)


def to_cpp(graph: fx.GraphModule, values: list[Tensor]) -> Callable[..., Sequence[Tensor]]:
    """The graph as a compiled function of tensors like these."""
    from torch._guards import TracingContext, tracing
    from torch._inductor import compile as compile_graph  # seconds to import
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    # Torch keeps programs in its cache only of graphs that have a place for sizes that vary.
    context = TracingContext(FakeTensorMode(shape_env=ShapeEnv()))
    try:
        with tracing(context):
            found: Callable[..., Sequence[Tensor]] = compile_graph(graph, [*values], OPTIONS)
    except (CppCompileError, InvalidCxxCompiler) as error:
        raise no_compiler(str(error).strip().splitlines()[-1]) from error
    return found


def written_out(
    of_part: OfPart, params: Params, given: Params, part: Episode
) -> tuple[fx.GraphModule, tuple[str, ...], tuple[str, ...]]:
    """What one chunk adds as a graph of operations from `listed` tensors to directions and metrics,
    and the names of both."""
    names: list[tuple[str, ...]] = []

    def flat(*values: Tensor) -> tuple[Tensor, ...]:
        direction, metrics = of_part(*unlisted(values, params, given))
        names[:] = tuple(direction), tuple(metrics)
        return *direction.values(), *metrics.values()

    graph = make_fx(flat)(*listed(params, given, part))
    assert not any(node.op == "get_attr" for node in graph.graph.nodes), "a number came to stay"
    for node in graph.graph.nodes:
        node.meta.clear()  # the tracer's stand-ins, which the compiler makes itself
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph, names[0], names[1]


def listed(params: Params, given: Params, part: Episode) -> list[Tensor]:
    """Everything that a chunk's part is made of; episodes without a mask."""
    halves = [value for half in part for value in (half.x, half.y)]
    return [*params.values(), *given.values(), *halves]


def unlisted(
    values: Sequence[Tensor], params: Params, given: Params
) -> tuple[Params, Params, Episode]:
    """`listed` undone."""
    left = iter(values)
    theta, rest = ({name: next(left) for name in names} for names in (params, given))
    support, query = (Batch(next(left), next(left)) for _ in range(2))
    return theta, rest, Episode(support, query)
