"""Measures whether `--precision bf16` costs quality: the same runs in f32 and in bf16, paired by seed, and prints a table.

    cargo build --release --workspace
    python tools/measure_precision.py --minilm MODEL_DIR --data SHARED/data

Four data sets (the first 2000 rows), full fine-tuning of MiniLM, three epochs in batches of 16 at 1e-4; the metric is that of the
dev set after the last epoch, in points. Both runs of a pair have the same data order and the same dropout masks. On MRPC, three
seeds of PyTorch in f32 and under autocast (`xtask/bench_peer/peer.py`) are beside them, with the loss of every step. Every
run is a line of `tools/precision/record.jsonl`; a second call measures only what is missing there, and `--table` only prints the
table. Needs torch and transformers for PyTorch's side; an hour and a half on two cores with AVX512-BF16.
"""
import json
import shutil
import subprocess
import sys

from resumable import ROOT, arguments, lines_of, mean, measure_missing

RECORD = ROOT / "tools/precision/record.jsonl"
PEER = ROOT / "xtask/bench_peer/peer.py"
SETS = {  # name -> task, metric
    "SST-2": ("sst2", "eval_accuracy"),
    "MRPC": ("mrpc", "eval_accuracy"),
    "CoLA": ("cola", "eval_matthews_correlation"),
    "STS-B": ("stsb", "eval_pearson"),
}
PYTORCH_SEEDS = 3
# Student's t for a two-sided interval of 95 %, by degrees of freedom.
T = {2: 4.303, 9: 2.262, 39: 2.023}


def measure(name, side, seed, args):
    """The metric in points, and the logged losses."""
    task, metric = SETS[name]
    output = args.output / ("reverse" if args.reverse else "run")
    shutil.rmtree(output, ignore_errors=True)
    same = ["train", "--model", args.minilm, "--task", task, "--data", args.data / name, "--max-train-samples", "2000"]
    same += ["--epochs", "3", "--batch-size", "16", "--eval-batch-size", "64", "--max-length", "128", "--lr", "1e-4"]
    same += ["--peft", "none", "--schedule", "full", "--seed", str(seed), "--threads", args.threads, "--output", output]
    maker, precision = side.split()
    if maker == "PyTorch":
        words = [sys.executable, PEER, *same, "--group", *(["--bf16"] if precision == "bf16" else [])]
    else:
        own = ["--sample", "first", "--save-strategy", "no", "--eval-strategy", "no", "--quiet", "--device", "cpu"]
        words = [args.progtune, *same, *own, "--precision", precision]
    text = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout
    results = json.loads(text.splitlines()[-1]) if maker == "PyTorch" else json.loads((output / "all_results.json").read_text())
    found = dict(metric=100 * results[metric])
    if name == "MRPC":
        steps = [line for line in lines_of(output / "metrics.jsonl") if "tokens" in line and "loss" in line]
        found["losses"] = [round(line["loss"], 4) for line in steps]
    return found


def keys():
    for name in SETS:
        for precision in ("f32", "bf16"):
            yield dict(set=name, side=f"progtune {precision}")


def of(name, side):
    """Metric by seed."""
    return {line["seed"]: line["metric"] for line in lines_of(RECORD) if (line["set"], line["side"]) == (name, side)}


def row(name, pairs):
    middle, error = mean([bf16 - f32 for f32, bf16 in pairs])
    half = T.get(len(pairs) - 1, float("nan")) * error
    sides = [f"{mean([pair[side] for pair in pairs])[0]:.2f}" for side in (0, 1)]
    print(f"| {name} | {len(pairs)} | {sides[0]} | {sides[1]} | {middle:+.2f} ± {half:.2f} |")


def table():
    print("| set | pairs | f32 | bf16 | difference, 95 % interval |\n|---|---|---|---|---|")
    everything = []
    for name in SETS:
        f32, bf16 = of(name, "progtune f32"), of(name, "progtune bf16")
        pairs = [(f32[seed], bf16[seed]) for seed in sorted(f32.keys() & bf16.keys())]
        everything += pairs
        if len(pairs) > 1:
            row(name, pairs)
    if len(everything) > 1:
        row("all", everything)
    for side in ("PyTorch f32", "PyTorch bf16"):
        values = list(of("MRPC", side).values())
        if len(values) > 1:
            print("\n{} on MRPC: {:.2f} ± {:.2f} (standard error)".format(side, *mean(values)))


def main():
    args = arguments(__doc__, "precision", 10)
    if not args.table:
        measure_missing(RECORD, list(keys()), args, lambda key, seed: measure(key["set"], key["side"], seed, args))
        args.seeds = min(args.seeds, PYTORCH_SEEDS)
        beside = [dict(set="MRPC", side=f"PyTorch {precision}") for precision in ("f32", "bf16")]
        measure_missing(RECORD, beside, args, lambda key, seed: measure(key["set"], key["side"], seed, args))
    table()


if __name__ == "__main__":
    main()
