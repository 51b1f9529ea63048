"""Compares one thread with two for every method on a machine with other work, and prints a table.

    cargo build --release --workspace
    python tools/measure_threads.py --minilm MODEL_DIR --data SHARED/data --loads 0,1,2,8

A load of N is N processes that compute without pause beside the run. The figure is the tokens per second of MRPC's first
training steps (batches of 32, the first two steps left out); one and two threads alternate, and the better of two runs counts.
"""
import argparse
import json
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
METHODS = "none lora dora vera kron-a ia3 bitfit adapter pfeiffer parallel prefix".split()


def tokens_per_second(method, threads, args):
    output = args.output / "run"
    shutil.rmtree(output, ignore_errors=True)
    words = [args.progtune, "train", "--model", args.minilm, "--task", "mrpc", "--data", args.data / "MRPC", "--peft", method]
    words += ["--batch-size", "32", "--max-steps", str(args.steps), "--max-train-samples", "640", "--sample", "first"]
    words += ["--max-eval-samples", "1", "--threads", str(threads), "--quiet", "--output", output]
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "tokens" in line and "secs" in line][2:]
    return sum(step["tokens"] for step in steps) / sum(step["secs"] for step in steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minilm", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--progtune", type=Path, default=ROOT / "target/release/progtune")
    parser.add_argument("--output", type=Path, default=ROOT / "target/threads")
    parser.add_argument("--loads", default="0,1,2,8")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--methods", default=",".join(METHODS))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    print("| load | method | 1 thread | 2 threads | × |\n|---|---|---|---|---|", flush=True)
    for load in map(int, args.loads.split(",")):
        busy = [subprocess.Popen(["python3", "-c", "while True: pass"]) for _ in range(load)]
        try:
            for method in args.methods.split(","):
                best = {1: 0.0, 2: 0.0}
                for _ in range(2):
                    for threads in best:
                        best[threads] = max(best[threads], tokens_per_second(method, threads, args))
                print(f"| {load} | {method} | {best[1]:.0f} | {best[2]:.0f} | {best[2] / best[1]:.2f} |", flush=True)
        finally:
            for process in busy:
                process.kill()


if __name__ == "__main__":
    main()
