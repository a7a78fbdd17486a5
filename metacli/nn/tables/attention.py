"""`TableAttention`: attention over the rows and over the columns of a small table, whose weights
are a dict.

Every class is asked for by itself: a stream is the table with a number for each row of the support,
which says whether the row is of this class; of a regression there is one stream, with the values.
All streams pass through the same weights, so classes have no order. Rows and columns have no codes
of their place, so they have none either.

Blocks over cells: a cell looks at the support's cells of its column (not at the one of its own row,
so that rows with and without a label are read alike) and at their labels, and then at the cells of
its row. A few tokens of each row collect what its cells say. Blocks over rows: those tokens with
the labels; every row looks at the rows of the support. No row looks at a row without a label.

Shape letters: B tables, K streams, G = B K, N rows of which the first M are the support, C columns,
H heads, D width of a cell's token, W of a row's, T tokens of a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.nn.tables import regression
from metacli.nn.tables.answers import COMPONENTS, Mixture, mixture_of
from metacli.nn.tables.cells import FEATURES, Cells, cells_of
from metacli.nn.tables.labels import Known
from metacli.nn.tables.layers import attention_shapes, feed, feed_shapes, heads_of, norm
from metacli.nn.tables.regression import LEVELS, TOLD, Solved
from metacli.types import Params

TABLE = 5  # numbers that say what the whole table is like
FAR = -1e9  # a score that attention takes for never


@dataclass(frozen=True)
class TableAttention:
    """Args:
    cell: D, and `tokens` T of a row, so that W is their product. cell_heads, heads: H.
    cell_blocks: over rows and columns of cells; `blocks` over rows.
    """

    cell: int = 16
    tokens: int = 4
    cell_heads: int = 2
    heads: int = 4
    cell_blocks: int = 2
    blocks: int = 3

    @property
    def width(self) -> int:
        return self.cell * self.tokens

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every parameter."""
        small, wide = self.cell, self.width
        found: dict[str, tuple[int, ...]] = {
            "cell.weight": (small, FEATURES),
            "cell.bias": (small,),
            "token.weight": (wide, TABLE),
            "token.bias": (wide,),
            "label.weight": (wide, 2),
            "label.bias": (wide,),
            "out.norm.weight": (wide,),
            "out.norm.bias": (wide,),
            "process.weight": (wide, TOLD),
            "class.process": (len(LEVELS),),
            "value.process": (len(LEVELS),),
            "class.weight": (1, wide),
            "class.bias": (1,),
            "value.weight": (3 * COMPONENTS, wide),
            "value.bias": (3 * COMPONENTS,),
        }
        found |= regression.shapes(FEATURES, small)
        for at in range(self.cell_blocks):
            for part in ("down", "across"):
                found |= attention_shapes(f"cells.{at}.{part}", small, small)
            found |= feed_shapes(f"cells.{at}", small)
            name = f"cells.{at}.down"
            found |= {f"{name}.label": (2, small), f"{name}.same": (self.cell_heads,)}
            found |= {f"{name}.none": (small,)}
        for at in range(self.blocks):
            found |= attention_shapes(f"rows.{at}", wide, wide)
            found |= feed_shapes(f"rows.{at}", wide)
            found[f"rows.{at}.classes.weight"] = (2 * wide, wide)
        return found

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh weights: normal with variance 1 / inputs, what is added to the stream smaller."""
        rng = torch.Generator().manual_seed(seed)
        smaller = (2 * (self.cell_blocks + self.blocks)) ** -0.5
        params: Params = {}
        for name, shape in self.shapes.items():
            drawn = torch.randn(shape, generator=rng)
            if "norm" in name:
                value = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
            elif name.endswith((".bias", ".none")):
                value = torch.zeros(shape)
            elif name.endswith((".same", "token.bias")):
                value = drawn
            else:
                small = name.endswith((".o.weight", ".lower.weight", "classes.weight"))
                scale = 0.1 if name in ("class.weight", "value.weight") else 1.0
                value = drawn * (smaller if small else scale) * shape[-1] ** -0.5
            params[name] = value.to(dtype)
        params["value.bias"][COMPONENTS : 2 * COMPONENTS] = torch.linspace(-1, 1, COMPONENTS)
        params |= {name: value.to(dtype) for name, value in begin().items()}
        return params

    def logits(
        self, params: Params, cells: Tensor, known: Known, solved: Solved | None = None
    ) -> Tensor:
        """Of every row without a label, [B, N - M, K].

        Args:
            cells: [B, N, C, 2], values and what they are (`cells`); rows with a label first.
            solved: as `solved` gives it for this support, where it is known.
        """
        h, process = self.rows(params, cells, known, solved)
        found = F.linear(h, params["class.weight"], params["class.bias"])[..., 0]  # [B, K, N - M]
        found = found + process @ params["class.process"]
        return (found + known.share.log()).transpose(1, 2)

    def mixture(
        self, params: Params, cells: Tensor, known: Known, solved: Solved | None = None
    ) -> Mixture:
        """Of every row without a value, in standard deviations of the support's values from their
        mean.

        Args:
            cells, solved: as `logits`.
        """
        h, process = self.rows(params, cells, known, solved)
        out = F.linear(h[:, 0], params["value.weight"], params["value.bias"])
        moved = (process @ params["value.process"])[:, 0, :, None]  # [B, N - M, 1]
        return mixture_of(out, moved)

    def solved(self, params: Params, cells: Tensor, known: Known) -> Solved:
        """What the process makes of a support [B, M, C, 2]; it does not depend on other rows."""
        seen = cells_of(cells[..., 0], cells[..., 1], cells.shape[1])
        _, counts = self.read_cells(params, seen, known)
        between, _ = regression.kernel(params, seen.features, seen.differ, counts)
        return regression.solve(params, between, known.labels)

    def rows(
        self, params: Params, cells: Tensor, known: Known, solved: Solved | None
    ) -> tuple[Tensor, Tensor]:
        """Of every row without a label what the blocks say, [B, K, N - M, W], and what the process
        says, [B, K, N - M, L]."""
        labels = known.labels
        tables, streams, support = labels.shape
        seen = cells_of(cells[..., 0], cells[..., 1], support)
        h, counts = self.read_cells(params, seen, known)  # [G, N, W], [B, C]
        between, own = regression.kernel(params, seen.features, seen.differ, counts)
        if solved is None:
            solved = regression.solve(params, between[:, :support], labels)
        process = regression.told(between, own, labels, solved)  # [B, K, N, 2 L]
        h = h + F.linear(process.flatten(0, 1), params["process.weight"])
        said = torch.stack([labels, labels.square()], -1).flatten(0, 1)
        said = F.linear(said, params["label.weight"], params["label.bias"])
        h = torch.cat([h[:, :support] + said, h[:, support:]], 1)
        for at in range(self.blocks):
            keys = h[:, :support]
            if at == self.blocks - 1:  # nothing reads the support any more
                h = h[:, support:]
            h = h + self.look(params, f"rows.{at}", h, keys)
            h = self.feed(params, f"rows.{at}", h.unflatten(0, (tables, streams))).flatten(0, 1)
        h = norm(params, "out.norm", h).unflatten(0, (tables, streams))
        return h, process[:, :, support:, : len(LEVELS)]

    def read_cells(self, params: Params, seen: Cells, known: Known) -> tuple[Tensor, Tensor]:
        """The tokens of every row after the blocks over cells, [G, N, W], and how much each column
        counts, [B, C], by what the support's cells are after the first."""
        labels = known.labels
        support = labels.shape[2]
        h = F.linear(seen.features, params["cell.weight"], params["cell.bias"])[:, None]
        rows, columns = h.shape[3], h.shape[2]
        same = F.pad(seen.same, (0, 1, 0, 0, 0, self.tokens))  # nothing is like the null key
        barred = F.pad(torch.eye(rows, support, dtype=h.dtype, device=h.device) * FAR, (0, 1))
        told = torch.stack([labels, labels.square()], -1)  # [B, K, M, 2]
        for at in range(self.cell_blocks):
            name = f"cells.{at}"
            found = self.look_down(params, f"{name}.down", h, told, same[:, : h.shape[2]], barred)
            h = h + found  # [B, K, C, N, D]
            if at == 0:
                more = self.own_tokens(params, known, columns)
                h = torch.cat([h, more[:, :, :, None].expand(*h.shape[:2], -1, rows, -1)], 2)
            last = at == self.cell_blocks - 1
            asked = h[:, :, columns:] if last else h  # nothing reads the cells any more
            h = asked + self.look_across(params, f"{name}.across", h, asked)
            h = feed(params, name, h)
            if at == 0:
                counts = self.counts(params, h[:, :, :columns, :support])
        return h.flatten(0, 1).transpose(1, 2).flatten(2), counts

    def counts(self, params: Params, h: Tensor) -> Tensor:
        """How much a column counts, [B, C], by its tokens [B, K, C, M, D]."""
        found = F.linear(h, params["kernel.counts.weight"], params["kernel.counts.bias"])
        return F.softplus(found.mean((1, 3))[..., 0])

    def own_tokens(self, params: Params, known: Known, columns: int) -> Tensor:
        """The tokens of a row before they have seen anything, [B, K, T, D]."""
        (streams, support), share = known.labels.shape[1:], known.share
        whole = [float(streams > 1), math.log(support / 30), math.log(columns / 6)]
        whole.append(math.log(streams))
        told = torch.cat([share, *(torch.full_like(share, one) for one in whole)], -1)
        h = F.linear(told, params["token.weight"], params["token.bias"])
        found: Tensor = h.unflatten(-1, (self.tokens, self.cell))
        return found

    def look_down(
        self, params: Params, name: str, h: Tensor, told: Tensor, same: Tensor, barred: Tensor
    ) -> Tensor:
        """Every cell at the support's cells of its column, and at their labels; or at nothing, the
        null key. All classes look alike: scores are sums over the streams.

        Args:
            h: [B, K or 1, C, N, D]. told: [B, K, M, 2]. same, barred: [B, C, N, M + 1].
        Returns:
            [B, K, C, N, D].
        """
        support, heads = told.shape[2], self.cell_heads
        h = norm(params, f"{name}.norm", h)
        q = self.joined(F.linear(h, params[f"{name}.q.weight"]))  # [B, C, H, N, K D/H]
        keys = F.linear(h[:, :, :, :support], params[f"{name}.kv.weight"])
        k, v = (self.joined(one) for one in keys.chunk(2, -1))
        none = params[f"{name}.none"].unflatten(0, (heads, 1, 1, -1))
        none = none.expand(*k.shape[:3], 1, h.shape[1], -1)
        k, v = torch.cat([k, none.flatten(-2)], -2), F.pad(v, (0, 0, 0, 1))
        bias = torch.addcmul(barred, same[:, :, None], params[f"{name}.same"][:, None, None])
        scores = torch.baddbmm(
            bias.flatten(0, 2),
            q.flatten(0, 2),
            k.flatten(0, 2).transpose(1, 2),
            alpha=q.shape[-1] ** -0.5,
        )
        weights = torch.softmax(scores, -1).unflatten(0, q.shape[:3])  # [B, C, H, N, M + 1]
        spoken = params[f"{name}.label"].unflatten(-1, (heads, -1))  # [2, H, D/H]
        said = F.pad(told.movedim(1, 2).flatten(2), (0, 0, 0, 1))  # [B, M + 1, K 2]
        said = weights.flatten(1, 3) @ said  # [B, C H N, K 2]
        said = said.unflatten(1, weights.shape[1:4]).unflatten(-1, (-1, 2))  # [B, C, H, N, K, 2]
        said = said.movedim(4, 1) @ spoken.transpose(0, 1)  # [B, K, C, H, N, D/H]
        seen = (weights @ v).unflatten(-1, (h.shape[1], -1)).movedim(4, 1)
        found = (seen + said).transpose(-2, -3).flatten(-2)
        return F.linear(found, params[f"{name}.o.weight"])

    def look_across(self, params: Params, name: str, h: Tensor, asked: Tensor) -> Tensor:
        """Every token at the tokens of its row; all classes alike.

        Args:
            h: [B, K, C + T, N, D]. asked: those that look, the last ones of h.
        """
        tokens = norm(params, f"{name}.norm", h).transpose(2, 3)  # [B, K, N, C + T, D]
        asking = tokens[:, :, :, tokens.shape[3] - asked.shape[2] :]
        q = self.joined(F.linear(asking, params[f"{name}.q.weight"]))  # [B, N, H, C + T, K D/H]
        keys = F.linear(tokens, params[f"{name}.kv.weight"])
        k, v = (self.joined(one) for one in keys.chunk(2, -1))
        weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), -1)
        found = (weights @ v).unflatten(-1, (h.shape[1], -1))  # [B, N, H, C + T, K, D/H]
        found = found.permute(0, 4, 3, 1, 2, 5).flatten(-2)  # [B, K, C + T, N, D]
        return F.linear(found, params[f"{name}.o.weight"])

    def joined(self, h: Tensor) -> Tensor:
        """[B, K, C, N, D] to [B, C, H, N, K D/H]: the streams of a head side by side."""
        h = h.unflatten(-1, (self.cell_heads, -1))  # [B, K, C, N, H, D/H]
        return h.permute(0, 2, 4, 3, 1, 5).flatten(-2)

    def look(self, params: Params, name: str, h: Tensor, keys: Tensor) -> Tensor:
        """Every row [G, N, W] at the rows of the support [G, M, W]."""
        q = F.linear(norm(params, f"{name}.norm", h), params[f"{name}.q.weight"])
        kv = F.linear(norm(params, f"{name}.norm", keys), params[f"{name}.kv.weight"])
        k, v = (heads_of(one, self.heads) for one in kv.chunk(2, -1))
        scores = (heads_of(q, self.heads) * k.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        found = (torch.softmax(scores, -1) @ v).transpose(-2, -3).flatten(-2)
        return F.linear(found, params[f"{name}.o.weight"])

    def feed(self, params: Params, name: str, h: Tensor) -> Tensor:
        """A row's own layer [B, K, N, W], which also sees the mean over the classes."""
        inner = norm(params, f"{name}.feed.norm", h)
        upper = F.linear(inner, params[f"{name}.upper.weight"], params[f"{name}.upper.bias"])
        classes = F.linear(inner.mean(1, keepdim=True), params[f"{name}.classes.weight"])
        return h + F.linear(F.relu(upper + classes), params[f"{name}.lower.weight"])


def begin() -> Params:
    """Where the process begins: a kernel of the numbers themselves, and its answer for the middle
    level as what a row says."""
    weight = torch.zeros(regression.NUMBERS, FEATURES)
    weight[0, 0] = weight[1, 1] = 1.0
    weight[2:] = 0.1 * torch.randn(
        regression.NUMBERS - 2, FEATURES, generator=torch.Generator().manual_seed(0)
    )
    middle = torch.eye(len(LEVELS))[len(LEVELS) // 2]
    return {
        "kernel.weight": weight,
        "kernel.counts.bias": torch.full((1,), -2.0),
        "kernel.parts": torch.full((2,), 0.5),
        "kernel.differ": torch.full((1,), 0.5),
        "kernel.noise": torch.tensor(LEVELS).log(),
        "class.process": 1.5 * middle,
        "value.process": middle,
    }
