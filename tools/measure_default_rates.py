"""Measures learning rates for the methods' defaults, and prints the table of docs/schedules-and-methods.md.

    cargo build --release --workspace
    python tools/measure_default_rates.py --minilm MODEL_DIR --data SHARED/data

Six data sets (at most 1000 rows of training data, drawn by class), four methods, three or four rates, three seeds: three epochs of
MiniLM with the schedule `full`, all else as `progtune` has it by default. The figure of a run is the metric of at most 500
evaluation rows after the last epoch. STS-B is measured with both initialisations of the head. Every run is a line of
`tools/default_rates/record.jsonl`; a second call measures only what is missing there, and `--table` only prints the tables.
Needs no packages; about an hour on two cores.
"""
import json
import shutil
import subprocess

from resumable import ROOT, arguments, lines_of, mean, measure_missing

RECORD = ROOT / "tools/default_rates/record.jsonl"
SETS = {  # name -> metric, flags; DATA stands for the directory of the data sets, WORK for that of converted files
    "SST-2": ("eval_accuracy", "--task sst2 --data DATA/SST-2"),
    "CoLA": ("eval_matthews_correlation", "--task cola --data DATA/CoLA"),
    "MRPC": ("eval_accuracy", "--task mrpc --data DATA/MRPC"),
    "STS-B": ("eval_pearson", "--task stsb --data DATA/STS-B"),
    "TREC": ("eval_accuracy", "--train-file WORK/trec.tsv --validation-file WORK/trec-test.tsv"),
    "WNUT17": ("eval_f1", "--train-file DATA/WNUT17/wnut17train.conll --validation-file DATA/WNUT17/emerging.dev.conll"),
}
METHODS = {  # method -> rates
    "none": ["2e-5", "5e-5", "1e-4"],
    "lora": ["2e-4", "5e-4", "1e-3", "2e-3"],
    "adapter": ["1e-4", "5e-4", "1e-3"],
    "bitfit": ["4e-4", "1e-3", "2e-3", "4e-3"],
}


def convert_trec(data, work):
    """TREC's coarse classes as TSV; one byte of it is not UTF-8."""
    for name, output in [("TREC.train", "trec.tsv"), ("TREC.test", "trec-test.tsv")]:
        lines = (data / "TREC" / name).read_text(encoding="latin-1").splitlines()
        rows = [line.split(" ", 1) for line in lines if line.strip()]
        text = "".join(f"{label.split(':')[0]}\t{question}\n" for label, question in rows)
        (work / output).write_text("label\ttext\n" + text, encoding="utf-8")


def keys():
    for name in SETS:
        for method, rates in METHODS.items():
            for rate in rates:
                for head in ["auto", "pytorch"] if name == "STS-B" else ["auto"]:
                    yield dict(set=name, method=method, rate=rate, head=head)


def measure(metric, flags, method, rate, head, seed, args):
    output = args.output / "run"
    shutil.rmtree(output, ignore_errors=True)
    flags = flags.replace("DATA", str(args.data)).replace("WORK", str(args.output)).split()
    words = [args.progtune, "train", "--model", args.minilm, *flags, "--peft", method, "--lr", rate, "--head-init", head]
    words += ["--schedule", "full", "--epochs", "3", "--max-train-samples", "1000", "--max-eval-samples", "500"]
    words += ["--eval-strategy", "no", "--save-strategy", "no"]
    words += ["--seed", str(seed), "--threads", args.threads, "--quiet", "--output", output]
    subprocess.run([str(word) for word in words], check=True)
    return json.loads((output / "all_results.json").read_text())[metric]


def table(seeds):
    known = lines_of(RECORD)

    def of(name, method, rate, head):
        wanted = dict(set=name, method=method, rate=rate, head=head)
        runs = [record["value"] for record in known if wanted.items() <= record.items()]
        return mean(runs) if len(runs) == seeds else None

    def shown(value):
        return "" if value is None else "{:.3f} ± {:.3f}".format(*value)

    print("| method | rate | " + " | ".join(SETS) + " | mean |")
    print("|---|---|" + "---|" * (len(SETS) + 1))
    for method, rates in METHODS.items():
        for rate in rates:
            values = [of(name, method, rate, "auto") for name in SETS]
            whole = "" if None in values else f"{sum(v[0] for v in values) / len(values):.3f}"
            print(f"| {method} | {rate} | " + " | ".join(map(shown, values)) + f" | {whole} |")
    print("\n| STS-B | rate | --head-init auto | pytorch |\n|---|---|---|---|")
    for method, rates in METHODS.items():
        for rate in rates:
            pair = [shown(of("STS-B", method, rate, head)) for head in ("auto", "pytorch")]
            print(f"| {method} | {rate} | " + " | ".join(pair) + " |")


def main():
    args = arguments(__doc__, "default-rates", 3)

    def run(key, seed):
        metric, flags = SETS[key["set"]]
        return dict(value=measure(metric, flags, key["method"], key["rate"], key["head"], seed, args))

    if not args.table:
        convert_trec(args.data, args.output)
        measure_missing(RECORD, list(keys()), args, run)
    table(args.seeds)


if __name__ == "__main__":
    main()
