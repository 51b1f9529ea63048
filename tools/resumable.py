"""Runs that are measured once: every run is a line of a JSONL file, and a later call measures only what is missing.

Used by `measure_agreement.py` and `measure_default_rates.py`.
"""
import argparse
import json
import math
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def arguments(description, output, seeds):
    """The command line that these scripts share."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--minilm", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--progtune", type=Path, default=ROOT / "target/release/progtune")
    parser.add_argument("--output", type=Path, default=ROOT / "target" / output)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--reverse", action="store_true", help="measure in the opposite order, for a second process that shares the work")
    parser.add_argument("--table", action="store_true", help="only print the tables of what was measured")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    return args


def lines_of(path):
    """The objects of a JSONL file; none if it is absent."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure_missing(record, keys, args, measure):
    """Calls `measure(key, seed)` for each key and seed that `record` lacks, and appends what it returns.

    Seeds are outermost, so that all cells of a table grow together."""
    record.parent.mkdir(parents=True, exist_ok=True)
    order = [{**key, "seed": seed} for seed in range(1, args.seeds + 1) for key in keys]
    for key in reversed(order) if args.reverse else order:
        if any(key.items() <= known.items() for known in lines_of(record)):
            continue
        line = json.dumps({**key, **measure(key, key["seed"])})
        with record.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)


def mean(values):
    """Mean and standard error."""
    n = len(values)
    middle = sum(values) / n
    error = math.sqrt(sum((v - middle) ** 2 for v in values) / (n - 1) / n) if n > 1 else float("nan")
    return middle, error
