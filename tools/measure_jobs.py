"""Measures the first command that somebody would type for twelve kinds of data, beside PyTorch, and prints a table.

    cargo build --release --workspace
    python tools/measure_jobs.py --minilm MODEL_DIR --data SHARED/data

Nothing is given but the model and the files; progtune decides the rest, and PyTorch trains with what it decided, with three
seeds. What progtune printed is in `tools/jobs/printed`. Every run is a line of `tools/jobs/record.jsonl`, like those of
`measure_agreement.py`. Needs torch, transformers, scikit-learn and seqeval; an hour on two cores.
"""
import json
import shutil
import subprocess
import sys
import tomllib

from resumable import ROOT, arguments, lines_of, mean, measure_missing

sys.path.insert(0, str(ROOT / "tools/jobs"))
from make_data import JOBS

RECORD = ROOT / "tools/jobs/record.jsonl"


def reference(name, rows, data, metric, config, args):
    """PyTorch's figure with progtune's settings."""
    settings = {key: config[key] for key in ("epochs", "lr", "batch_size", "seed", "max_length")}
    if name == "WNUT17":
        words = [ROOT / "tools/wnut17_reference.py", "--model", args.minilm, "--data", data, "--lr", settings["lr"], "--threads", args.threads]
        words += ["--epochs", settings["epochs"], "--batch-size", settings["batch_size"], "--max-length", settings["max_length"]]
        text = subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True, text=True).stdout
        return [json.loads(line) for line in text.splitlines()][-2]["f1"]
    if rows is None:
        kind, rows = "squad", {"train": str(data / "train-v1.1.json"), "dev": str(data / "dev-v1.1.json")}
    else:
        label = rows["train"][0][2]
        kind = "number" if isinstance(label, float) else "several" if isinstance(label, list) else "single"
    job = dict(model=str(args.minilm), kind=kind, metric=metric, threads=int(args.threads), **rows, **settings)
    file = data / "job.json"
    file.write_text(json.dumps(job))
    text = subprocess.run([sys.executable, ROOT / "tools/jobs/reference.py", file], check=True, capture_output=True, text=True).stdout
    return json.loads(text.splitlines()[-1])


def printed(done, data):
    """What a run printed, without its progress."""
    lines = [*done.stderr.splitlines(), "", *done.stdout.splitlines()]
    progress = ("step ", "epoch ", "computing the validation split")
    kept = [line for line in lines if not line.startswith(progress) or line.startswith("epoch  ")]
    return "\n".join(kept).replace(str(data), "DIR") + "\n"


def measure(name, seed, args):
    make, metric = JOBS[name]
    data = args.output / name.replace(" ", "-").lower()
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    words, rows = make(args.data, data)
    run = data / "run"
    words = [args.progtune, "train", "--model", args.minilm, *words, "--threads", args.threads, "--seed", seed, "--output", run]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    (ROOT / f"tools/jobs/printed/{data.name}.txt").write_text(printed(done, data))
    results = json.loads((run / "all_results.json").read_text())
    config = tomllib.loads((run / "config.toml").read_text())
    shown = " ".join(str(word).replace(f"{data}/", "").replace(str(data), "DIR").replace(str(args.minilm), "MODEL") for word in words[1:-6])
    theirs = reference(name, rows, data, metric, config, args)
    return dict(command=f"progtune {shown}", metric=metric, progtune=results[metric], pytorch=theirs)


def main():
    args = arguments(__doc__, "jobs", 3)
    if not args.table:
        measure_missing(RECORD, [dict(job=name) for name in JOBS], args, lambda key, seed: measure(key["job"], seed, args))
    print("| in the shape of | command | metric | seeds | progtune | PyTorch |\n|---|---|---|---|---|---|")
    for name in JOBS:
        runs = [line for line in lines_of(RECORD) if line["job"] == name]
        if not runs:
            continue
        shown = "{:.3f} ± {:.3f}" if len(runs) > 1 else "{:.3f}"
        figures = [shown.format(*mean([run[side] for run in runs])) for side in ("progtune", "pytorch")]
        metric = runs[0]["metric"].removeprefix("eval_")
        print(f"| {name} | `{runs[0]['command']}` | {metric} | {len(runs)} | " + " | ".join(figures) + " |")


if __name__ == "__main__":
    main()
