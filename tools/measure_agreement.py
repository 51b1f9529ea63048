"""Measures the table "Whole runs" of docs/agreement.md: the same runs in PyTorch and in progtune, five seeds a cell.

    cargo build --release --workspace
    python tools/measure_agreement.py --minilm MODEL_DIR --data SHARED/data

Both sides start from MiniLM with the same data, batches, optimizer, learning rate and dropout (`--frozen-dropout`). Where that
differs from progtune's default, the default is a third side. The PyTorch side is `xtask/bench_peer/peer.py`, and for
WNUT17 `tools/wnut17_reference.py`. Every run is a line of `tools/agreement/record.jsonl`; a second call measures only what is
missing there, and `--table` only prints the table. Needs torch, transformers, peft, scikit-learn, scipy and seqeval; two hours
on two cores.
"""
import json
import shutil
import subprocess
import sys

from resumable import ROOT, arguments, lines_of, mean, measure_missing

RECORD = ROOT / "tools/agreement/record.jsonl"
PEER = ROOT / "xtask/bench_peer/peer.py"
SST2 = dict(task="sst2", data="SST-2", rows=3000, batch=32, metric="eval_accuracy")
MRPC = dict(task="mrpc", data="MRPC", rows=1500, batch=32, metric="eval_accuracy")
WNUT17 = dict(task="wnut17", data="WNUT17", rows=0, batch=16, metric="eval_f1")
FULL, LORA, BITFIT = ("none", "5e-5"), ("lora", "5e-4"), ("bitfit", "1e-3")
CELLS = [
    ("SST-2, first 3000 rows, full fine-tuning (accuracy)", SST2, FULL, ["full", "progressive", "grow-from-hb", "wo-lb"]),
    ("SST-2, first 3000 rows, BitFit (accuracy)", SST2, BITFIT, ["full", "progressive"]),
    ("MRPC, first 1500 rows, LoRA (accuracy)", MRPC, LORA, ["full", "progressive"]),
    ("WNUT17, full fine-tuning (entity F1)", WNUT17, FULL, ["full"]),
]


def command(side, job, method, schedule, seed, args, output):
    """The command of one run."""
    peft, lr = method
    data = args.data / job["data"]
    if job["task"] == "wnut17":
        if side == "pytorch":
            script = [sys.executable, ROOT / "tools/wnut17_reference.py"]
            return [*script, "--model", args.minilm, "--data", data, "--seed", str(seed), "--lr", lr, "--threads", args.threads]
        files = ["--train-file", data / "wnut17train.conll", "--validation-file", data / "emerging.dev.conll"]
        # The reference shuffles without grouping by length.
        what = [*files, "--problem-type", "token_classification", "--no-group-by-length"]
    else:
        what = ["--task", job["task"], "--data", data]
        if job["rows"]:
            what += ["--max-train-samples", str(job["rows"])]
    same = ["train", "--model", args.minilm, *what, "--peft", peft, "--schedule", schedule, "--lr", lr, "--epochs", "3"]
    same += ["--batch-size", str(job["batch"]), "--max-length", "128", "--eval-batch-size", "64", "--seed", str(seed)]
    same += ["--threads", args.threads, "--output", output]
    if side == "pytorch":
        return [sys.executable, PEER, *same, "--group"]
    own = ["--quiet", "--overwrite-output", "--sample", "first"] + ([] if side == "default dropout" else ["--frozen-dropout"])
    return [args.progtune, *same, *own]


def measure(side, job, method, schedule, seed, args):
    """One run: dev metric and loss after the last epoch, and the mean training loss of that epoch."""
    output = args.output / side.replace(" ", "-")
    shutil.rmtree(output, ignore_errors=True)
    words = [str(word) for word in command(side, job, method, schedule, seed, args, output)]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    if side == "pytorch" and job["task"] == "wnut17":
        last = [json.loads(line) for line in text.splitlines()][-2]
        return dict(metric=last["f1"], eval_loss=last["loss"])
    results = json.loads(text.splitlines()[-1]) if side == "pytorch" else json.loads((output / "all_results.json").read_text())
    steps = [line for line in lines_of(output / "metrics.jsonl") if "tokens" in line and "loss" in line]
    losses = [line["loss"] for line in steps if line["epoch"] == 3]
    return dict(metric=results[job["metric"]], eval_loss=results["eval_loss"], train_loss=sum(losses) / len(losses))


def cells():
    for title, job, method, schedules in CELLS:
        for schedule in schedules:
            # In the other cells the embeddings are trained, so the default drops out everywhere too.
            sides = ["pytorch", "progtune"] + (["default dropout"] if method == LORA and schedule != "full" else [])
            yield title, job, method, schedule, sides


def shown(values):
    """Mean ± standard error, without leading zeros."""
    return "{:.3f} ± {:.3f}".format(*mean(values)).replace("0.", ".")


def table(seeds):
    """The Markdown rows, one for each cell that is complete."""
    records = lines_of(RECORD)
    print("| job | schedule | PyTorch | progtune | progtune, default dropout | loss on dev: PyTorch | progtune | default dropout |")
    print("|---|---|---|---|---|---|---|---|")
    for title, _, _, schedule, sides in cells():
        cell = {}
        for side in sides:
            runs = [r for r in records if (r["job"], r["schedule"], r["side"]) == (title, schedule, side)]
            if len(runs) == seeds:
                cell[side] = [shown([r[key] for r in runs]) for key in ("metric", "eval_loss")]
        if len(cell) == len(sides):
            row = [cell.get(side, ["", ""])[i] for i in (0, 1) for side in ("pytorch", "progtune", "default dropout")]
            print(f"| {title} | `{schedule}` | " + " | ".join(row) + " |")


def main():
    args = arguments(__doc__, "agreement", 5)
    runs = {}
    for title, job, method, schedule, sides in cells():
        for side in sides:
            runs[title, schedule, side] = job, method

    def run(key, seed):
        job, method = runs[key["job"], key["schedule"], key["side"]]
        return measure(key["side"], job, method, key["schedule"], seed, args)

    if not args.table:
        keys = [dict(job=title, schedule=schedule, side=side) for title, schedule, side in runs]
        measure_missing(RECORD, keys, args, run)
    table(args.seeds)


if __name__ == "__main__":
    main()
