"""Measures the embedded model as its card states it (host/engine/assets/*/README.md), and prints the card's tables.

Called by hand, when the embedded model or the embedded tasks change:

    cargo build --release --workspace
    python tools/measure_embedded_model.py --minilm MODEL_DIR --data SHARED/data

1. Full fine-tuning on SST-2 (the first 8000 rows), MRPC and STS-B, from the embedded model, from the original and from random
   weights of the same shape: 3 epochs, batches of 32, learning rate 5e-5, weight decay 0.01.
2. The embedded tasks with every combination of two schedules and three methods, all else as `progtune` has it by default, from
   the same three starts.

Each with --seeds; the metric is that of the validation split after the last epoch, as mean ± standard error. Runs stay in
--output: a second call measures only what is missing. Needs numpy and safetensors; about two hours on two cores.
"""
import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parent.parent
ASSETS = next((ROOT / "host/engine/assets").iterdir())
GLUE = {  # task → directory, metric, further flags
    "sst2": ("SST-2", "eval_accuracy", ["--max-train-samples", "8000", "--sample", "first"]),
    "mrpc": ("MRPC", "eval_accuracy", []),
    "stsb": ("STS-B", "eval_pearson", []),
}
GLUE_FLAGS = "--epochs 3 --batch-size 32 --eval-batch-size 64 --lr 5e-5 --weight-decay 0.01 --schedule full".split()
EMBEDDED_TASKS = ["sample", "sample_pairs"]


def random_model(path):
    """A checkpoint of the embedded model's shape as `initializer_range` makes it: matrices normal, vectors 0, LayerNorm 1."""
    config = json.loads((ASSETS / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    rng = np.random.default_rng(0)
    tensors = {}

    def matrix(name, rows, columns):
        tensors[name] = rng.normal(0, config["initializer_range"], (rows, columns)).astype(np.float32)

    def linear(name, inputs, outputs):
        matrix(name + ".weight", outputs, inputs)
        tensors[name + ".bias"] = np.zeros(outputs, np.float32)

    def norm(name):
        tensors[name + ".weight"], tensors[name + ".bias"] = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)

    for name, rows in (("word", "vocab_size"), ("position", "max_position_embeddings"), ("token_type", "type_vocab_size")):
        matrix(f"embeddings.{name}_embeddings.weight", config[rows], hidden)
    norm("embeddings.LayerNorm")
    for block in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{block}."
        for part in ("query", "key", "value"):
            linear(f"{at}attention.self.{part}", hidden, hidden)
        linear(at + "attention.output.dense", hidden, hidden)
        norm(at + "attention.output.LayerNorm")
        linear(at + "intermediate.dense", hidden, inner)
        linear(at + "output.dense", inner, hidden)
        norm(at + "output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    path.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path / "model.safetensors")
    for name in ("config.json", "vocab.txt"):
        (path / name).write_bytes((ASSETS / name).read_bytes())


def measure(progtune, output, flags, metric):
    """The metric after the last epoch and the seconds of training; runs what has not been run."""
    results = output / "all_results.json"
    if not results.exists():
        subprocess.run([progtune, *map(str, flags), "--output", output, "--overwrite-output", "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
    results = json.loads(results.read_text())
    return results[metric], results["train_runtime"]


def cell(values):
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{np.mean(values):.3f} ± {error:.3f}"


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--minilm", type=Path, required=True, help="the original: a directory (tools/fetch_minilm.sh)")
    args.add_argument("--data", type=Path, required=True, help="directory with SST-2, MRPC and STS-B as GLUE has them")
    args.add_argument("--progtune", default=ROOT / "target/release/progtune")
    args.add_argument("--output", type=Path, default=ROOT / "target/measure-embedded")
    args.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = args.parse_args()
    random = args.output / "random-weights"
    random_model(random)
    models = {"embedded": [], "original": ["--model", args.minilm], "random weights": ["--model", random]}

    print(f"| model | {' | '.join(GLUE)} |\n|---|{'---|' * len(GLUE)}")
    for name, model in models.items():
        row = []
        for task, (directory, metric, more) in GLUE.items():
            flags = [*model, "--task", task, "--data", args.data / directory, *GLUE_FLAGS, *more]
            row.append(cell([measure(args.progtune, args.output / f"{name.split()[0]}-{task}-{seed}",
                                     [*flags, "--seed", seed], metric)[0] for seed in args.seeds]))
        print(f"| {name} | {' | '.join(row)} |", flush=True)

    for task in EMBEDDED_TASKS:
        print(f"\n| {task} | full | progressive | seconds |\n|---|---|---|---|")
        for name in models:
            for method in ("none", "lora", "bitfit"):
                row, secs = [], []
                for schedule in ("full", "progressive"):
                    flags = [*models[name], "--task", task, "--schedule", schedule, "--peft", method]
                    found = [measure(args.progtune, args.output / f"{name.split()[0]}-{task}-{schedule}-{method}-{seed}",
                                     [*flags, "--seed", seed], "eval_accuracy") for seed in args.seeds]
                    row.append(cell([accuracy for accuracy, _ in found]))
                    secs.append(f"{np.median([s for _, s in found]):.0f}")
                print(f"| {name}, {method} | {' | '.join(row)} | {', '.join(secs)} |", flush=True)


if __name__ == "__main__":
    main()
