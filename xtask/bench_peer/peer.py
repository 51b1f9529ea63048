"""The peer of `cargo xtask bench-peer`: the same fine-tuning job in PyTorch, Transformers and PEFT.

It does what a careful user's script does: fast tokenizer over the whole set at once, dynamic padding (or padding to
the longest length), length grouping by progtune's own rule, fused AdamW with weight decay on matrices only, linear
decay, clipping at 1, and for a schedule `requires_grad` switched off below the stage in every epoch.

`train` leaves `metrics.jsonl` in its output directory (a line a step, with progtune's keys `step`, `tokens`, `secs`)
and prints one JSON line; `base` makes the random model of BERT-base's shape and its sentences; `versions` prints what
is installed. A step's seconds run from the making of the batch to the cleared gradients; `tokens` are real ones.
"""

import argparse
import json
import math
import os
import random
import re
import resource
import shutil
import sys
import time
import warnings

import numpy as np
import torch

COLUMNS = {
    "sst2": ("sentence", None, "label"),
    "mrpc": ("#1 String", "#2 String", "Quality"),
}


def read_split(task, directory, split, limit):
    """The texts (first, second or None) and labels of a GLUE TSV file."""
    with open(os.path.join(directory, f"{split}.tsv"), encoding="utf-8-sig", newline="") as file:
        rows = [line.rstrip("\r\n").split("\t") for line in file]
    first, second, label = (None if name is None else rows[0].index(name) for name in COLUMNS[task])
    rows = rows[1 : 1 + limit] if limit else rows[1:]
    texts = [row[first] for row in rows]
    pairs = None if second is None else [row[second] for row in rows]
    return texts, pairs, [int(row[label]) for row in rows]


class Examples:
    """A tokenised split."""

    def __init__(self, tokenizer, split, max_length):
        texts, pairs, self.labels = split
        encoded = tokenizer(texts, pairs, truncation=True, max_length=max_length, return_token_type_ids=True)
        self.input_ids = encoded["input_ids"]
        self.token_type_ids = encoded["token_type_ids"]
        self.pad = tokenizer.pad_token_id

    def __len__(self):
        return len(self.labels)

    def length(self, index):
        return len(self.input_ids[index])

    def batch(self, indices, pad_to):
        """The model's inputs, padded to `pad_to` or to the longest of the batch."""
        width = pad_to or max(self.length(i) for i in indices)
        input_ids = np.full((len(indices), width), self.pad, dtype=np.int64)
        token_type_ids = np.zeros_like(input_ids)
        attention_mask = np.zeros_like(input_ids)
        for row, i in enumerate(indices):
            n = self.length(i)
            input_ids[row, :n] = self.input_ids[i]
            token_type_ids[row, :n] = self.token_type_ids[i]
            attention_mask[row, :n] = 1
        return {
            "input_ids": torch.from_numpy(input_ids),
            "token_type_ids": torch.from_numpy(token_type_ids),
            "attention_mask": torch.from_numpy(attention_mask),
            "labels": torch.tensor([self.labels[i] for i in indices]),
        }

    def tokens(self, indices):
        return sum(self.length(i) for i in indices)


def epoch_order(examples, batch_size, grouped):
    """Batches of an epoch; grouped as progtune does: windows of at most 50 batches, at least four a set, sorted."""
    order = list(range(len(examples)))
    random.shuffle(order)
    if grouped:
        window = batch_size * min(max(len(order) // (4 * batch_size), 1), 50)
        windows = [order[at : at + window] for at in range(0, len(order), window)]
        order = [i for part in windows for i in sorted(part, key=lambda i: -examples.length(i))]
    batches = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    if grouped:
        random.shuffle(batches)
    return batches


def trained_blocks(schedule, epoch, epochs, blocks):
    """How many blocks, from the top, epoch `epoch` of `epochs` trains."""
    return {
        "full": blocks,
        "progressive": math.ceil(blocks * (epochs - epoch + 1) / epochs),
        "grow-from-hb": math.ceil(blocks * epoch / epochs),
        "wo-lb": math.ceil(blocks * (epochs - epoch) / epochs),
    }[schedule]


def build_model(args):
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=2)
    if args.peft == "lora":
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["query", "value"])
        model = get_peft_model(model, config)
    if args.peft == "bitfit":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.endswith("bias") or name.startswith("classifier")
    return model


def set_stage(model, candidates, args, epoch):
    """Switches gradients on for this epoch's blocks and for all that lies in no block; returns the trained size."""
    blocks = model.config.num_hidden_layers
    lowest = blocks - trained_blocks(args.schedule, epoch, args.epochs, blocks)
    size = 0
    for name, parameter in candidates:
        block = re.search(r"encoder\.layer\.(\d+)\.", name)
        parameter.requires_grad = block is None or int(block.group(1)) >= lowest
        parameter.grad = None
        size += parameter.numel() if parameter.requires_grad else 0
    return size


def optimizer_of(candidates, args, total_steps):
    plain = [p for name, p in candidates if name.endswith("bias") or "LayerNorm" in name]
    plain_ids = {id(p) for p in plain}
    groups = [
        {"params": [p for _, p in candidates if id(p) not in plain_ids], "weight_decay": args.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=args.lr, fused=True)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1.0 - step / total_steps))
    return optimizer, decay


def evaluate(model, examples, args):
    from sklearn.metrics import f1_score

    model.eval()
    order = list(range(len(examples)))
    if args.group:
        order.sort(key=lambda i: -examples.length(i))
    predicted, loss = np.zeros(len(order), dtype=np.int64), 0.0
    with torch.no_grad():
        for at in range(0, len(order), args.eval_batch_size):
            indices = order[at : at + args.eval_batch_size]
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
                output = model(**examples.batch(indices, args.pad_to))
            predicted[indices] = output.logits.argmax(-1).numpy()
            loss += float(output.loss) * len(indices)
    expected = np.array(examples.labels)
    result = {"eval_accuracy": float((predicted == expected).mean()), "eval_loss": loss / len(order)}
    if args.task == "mrpc":
        result["eval_f1"] = float(f1_score(expected, predicted))
    return result


def train(args):
    from transformers import AutoTokenizer

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    examples = Examples(tokenizer, read_split(args.task, args.data, "train", args.max_train_samples), args.max_length)
    # As progtune does, which evaluates on one row where only the steps are measured.
    dev = Examples(tokenizer, read_split(args.task, args.data, "dev", args.max_eval_samples), args.max_length)
    model = build_model(args)
    candidates = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    steps_per_epoch = math.ceil(len(examples) / args.batch_size)
    total_steps = steps_per_epoch * args.epochs
    last_step = min(total_steps, args.max_steps or total_steps)
    optimizer, decay = optimizer_of(candidates, args, total_steps)

    os.makedirs(args.output, exist_ok=True)
    summary = {"train_steps": 0, "train_tokens": 0, "train_step_secs": 0.0, "total_updated_parameters": 0}
    evaluation = {}
    with open(os.path.join(args.output, "metrics.jsonl"), "w", encoding="utf-8") as metrics:
        for epoch in range(1, args.epochs + 1):
            size = set_stage(model, candidates, args, epoch)
            trained = [p for _, p in candidates if p.requires_grad]
            model.train()
            for indices in epoch_order(examples, args.batch_size, args.group):
                if summary["train_steps"] == last_step:
                    break
                start = time.perf_counter()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
                    loss = model(**examples.batch(indices, args.pad_to)).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                decay.step()
                optimizer.zero_grad(set_to_none=True)
                value = float(loss.detach())
                secs = time.perf_counter() - start
                tokens = examples.tokens(indices)
                summary["train_steps"] += 1
                summary["train_tokens"] += tokens
                summary["train_step_secs"] += secs
                summary["total_updated_parameters"] += size / steps_per_epoch
                line = {"step": summary["train_steps"], "epoch": epoch, "loss": value, "tokens": tokens, "secs": secs}
                metrics.write(json.dumps(line) + "\n")
                metrics.flush()
            evaluation = evaluate(model, dev, args)
            if summary["train_steps"] == last_step:
                break
    summary.update(evaluation)
    summary["total_updated_parameters"] = round(summary["total_updated_parameters"])
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    summary["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps(summary))


def make_base(args):
    """A random BERT of base size with the given tokenizer, and sentences of more than 128 tokens with labels."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(args.output)
    for name in ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]:
        if os.path.exists(os.path.join(args.tokenizer, name)):
            shutil.copy(os.path.join(args.tokenizer, name), args.output)
    with open(os.path.join(args.tokenizer, "vocab.txt"), encoding="utf-8") as file:
        words = [word for word in file.read().split() if re.fullmatch("[a-z]{3,}", word)]
    chosen = random.Random(0)
    for split, rows in [("train", 1024), ("dev", 64)]:
        with open(os.path.join(args.output, f"{split}.tsv"), "w", encoding="utf-8") as file:
            file.write("sentence\tlabel\n")
            for _ in range(rows):
                file.write(" ".join(chosen.choices(words, k=140)) + f"\t{chosen.randrange(2)}\n")


def versions(_):
    import peft
    import platform
    import transformers

    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
    }
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.set_defaults(run=train)
    for flag in ["--model", "--data", "--output"]:
        command.add_argument(flag, required=True)
    command.add_argument("--task", required=True, choices=sorted(COLUMNS))
    command.add_argument("--peft", default="none", choices=["none", "lora", "bitfit"])
    command.add_argument("--schedule", default="full", choices=["full", "progressive", "grow-from-hb", "wo-lb"])
    for flag, default in [("--epochs", 3), ("--batch-size", 32), ("--eval-batch-size", 64), ("--max-length", 128)]:
        command.add_argument(flag, type=int, default=default)
    for flag in ["--max-steps", "--max-train-samples", "--max-eval-samples", "--pad-to"]:
        command.add_argument(flag, type=int, default=0, help="0: no limit, no fixed length")
    command.add_argument("--group", action="store_true", help="put sequences of similar length together")
    command.add_argument("--bf16", action="store_true", help="autocast to bfloat16, as the Trainer does")
    command.add_argument("--lr", type=float, required=True)
    command.add_argument("--weight-decay", type=float, default=0.0)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--threads", type=int, required=True)
    command = commands.add_parser("base")
    command.set_defaults(run=make_base)
    command.add_argument("--tokenizer", required=True)
    command.add_argument("--output", required=True)
    commands.add_parser("versions").set_defaults(run=versions)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
