"""What `multitask` prints of its tasks."""

from __future__ import annotations

from metacli.cli.multitask import guard_lines, related_lines
from metacli.cli.views.block import Block


def decided(answer: str, network: str = "learned-weights") -> dict:
    return {"answer": answer, "network": network, "gain": 0.1, "standard_error": 0.05}


def test_a_guarded_run_says_which_tasks_share_and_by_which_network() -> None:
    answers = ["together", "alone", "together"]
    tasks = [{"name": f"t{n}", "guard": decided(one)} for n, one in enumerate(answers)]
    assert list(guard_lines([Block(one) for one in tasks])) == [
        "guard: 2 of 3 tasks share, by learned weights: t0 t2"
    ]
    many = [{"name": f"t{n}", "guard": decided("together", "together")} for n in range(10)]
    assert list(guard_lines([Block(one) for one in many])) == [
        "guard: 10 of 10 tasks share: t0 t1 t2 t3 t4 t5 t6 t7 and 2 more"
    ]
    none = [Block({"name": "t0", "guard": decided("alone")})]
    assert list(guard_lines(none)) == ["guard: no task shares; each is answered by its own network"]
    assert list(guard_lines([])) == []


def test_groups_are_suggested_without_commands_where_a_guard_has_tried_them() -> None:
    related = Block({"measure": "gradient-cosine", "groups": [["a", "b"], ["c"]]})
    assert len(list(related_lines(related))) == 2
    assert list(related_lines(related, guarded=True)) == ["belong together (gradient-cosine): a b"]
