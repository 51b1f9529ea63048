"""Fine-tunes a model on SQuAD in PyTorch and transformers as `progtune --task squad` does: the figure to compare with.

    python tools/squad_reference.py --model DIR --data squad/split --run-qa run_qa.py --utils-qa utils_qa.py \
        --evaluate-v1 evaluate-v1.1.py --evaluate-v2 evaluate-v2.0.py [--version-2] [--schedule progressive]

Windows, answers and metrics are made by the scripts themselves (tests/fixtures/make_question_answering.py says which they are).
Dynamic padding, AdamW without weight decay, linear decay, gradients clipped at 1.0. `progressive` trains the top ceil(L(T-t+1)/T)
blocks in epoch t, and embeddings and head in every one. Prints a line of JSON an epoch. `--state FILE` keeps the state after each
epoch and goes on from it; a copy of the state where two schedules agree is where the second of them can start.
Versions: torch 2.15.0, transformers 5.23.0, Python 3.11.
"""
import argparse
import json
import math
import os
import random
import re
import sys
import tempfile
import time

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/fixtures"))
from make_question_answering import Rows, load, make_windows, official_v2, questions


def batch_of(windows, indices, pad):
    longest = max(len(windows[i]["ids"]) for i in indices)
    fill = lambda key, value: torch.tensor([windows[i][key] + [value] * (longest - len(windows[i]["ids"])) for i in indices])
    ids = fill("ids", pad)
    mask = torch.tensor([[1] * len(windows[i]["ids"]) + [0] * (longest - len(windows[i]["ids"])) for i in indices])
    spans = torch.tensor([windows[i]["span"] for i in indices])
    return dict(input_ids=ids, token_type_ids=fill("types", 0), attention_mask=mask), spans


def evaluate(args, model, windows, rows, articles, pad):
    model.eval()
    order = sorted(range(len(windows)), key=lambda i: -len(windows[i]["ids"]))
    start, end = [None] * len(windows), [None] * len(windows)
    with torch.no_grad():
        for at in range(0, len(order), 32):
            indices = order[at:at + 32]
            out = model(**batch_of(windows, indices, pad)[0])
            for row, i in enumerate(indices):
                n = len(windows[i]["ids"])
                start[i], end[i] = out.start_logits[row, :n].numpy(), out.end_logits[row, :n].numpy()
    features = Rows(dict(example_id=rows[w["question"]]["id"], offset_mapping=w["offsets"]) for w in windows)
    with tempfile.TemporaryDirectory() as directory:
        predictions = args.utils.postprocess_qa_predictions(
            rows, features, (start, end), version_2_with_negative=args.version_2, output_dir=directory)
        if args.version_2:
            with open(os.path.join(directory, "null_odds.json")) as file:
                return official_v2(args, articles, predictions, json.load(file))
    module = load(args.evaluate_v1, "evaluate_v1")
    return (getattr(module, "evaluate", None) or module.compute_score)(articles, predictions)


def grouped_by_length(windows, batch_size):
    """A random order in which the windows of a batch are about as long, as Trainer's `group_by_length` has it."""
    order = random.sample(range(len(windows)), len(windows))
    pools = [order[at:at + 50 * batch_size] for at in range(0, len(order), 50 * batch_size)]
    order = [at for pool in pools for at in sorted(pool, key=lambda at: -len(windows[at]["ids"]))]
    batches = [order[at:at + batch_size] for at in range(0, len(order), batch_size)]
    random.shuffle(batches)
    return [at for batch in batches for at in batch]


def main():
    parser = argparse.ArgumentParser()
    for name in ("model", "data", "run-qa", "utils-qa", "evaluate-v1", "evaluate-v2"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--schedule", choices=["full", "progressive"], default="full")
    parser.add_argument("--version-2", action="store_true")
    parser.add_argument("--state")
    for name, value in (("epochs", 2), ("batch-size", 32), ("seed", 0), ("threads", 2), ("limit", 10 ** 9), ("eval-limit", 10 ** 9),
                        ("max-length", 384), ("doc-stride", 128)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--lr", type=float, default=5e-5)
    args = parser.parse_args()
    args.utils = load(args.utils_qa, "utils_qa")
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForQuestionAnswering.from_pretrained(args.model)
    train_rows, _ = questions(os.path.join(args.data, "train.json"), args.limit)
    rows, articles = questions(os.path.join(args.data, "dev.json"), args.eval_limit)
    train, _ = make_windows(args.run_qa, tokenizer, train_rows, args.max_length, args.doc_stride)
    dev, _ = make_windows(args.run_qa, tokenizer, rows, args.max_length, args.doc_stride)
    pad, blocks = tokenizer.pad_token_id, model.config.num_hidden_layers
    block = {name: re.search(r"encoder\.layer\.(\d+)\.", name) for name, _ in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    steps = math.ceil(len(train) / args.batch_size)
    total = steps * args.epochs
    curve = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, (total - step) / total))
    done, updated = 0, 0
    if args.state and os.path.exists(args.state):
        state = torch.load(args.state, weights_only=False)
        for part, value in zip((model, optimizer, curve), state["parts"]):
            part.load_state_dict(value)
        torch.set_rng_state(state["torch"])
        random.setstate(state["random"])
        done, updated = state["epoch"], state["updated"]
    for epoch in range(done + 1, args.epochs + 1):
        kept = math.ceil(blocks * (args.epochs - epoch + 1) / args.epochs) if args.schedule == "progressive" else blocks
        for name, parameter in model.named_parameters():
            parameter.requires_grad = block[name] is None or int(block[name].group(1)) >= blocks - kept
            parameter.grad = None
        trained = [p for p in model.parameters() if p.requires_grad]
        updated += sum(p.numel() for p in trained)
        order = grouped_by_length(train, args.batch_size)
        model.train()
        begin, losses = time.perf_counter(), []
        for at in range(0, len(order), args.batch_size):
            inputs, spans = batch_of(train, order[at:at + args.batch_size], pad)
            loss = model(**inputs, start_positions=spans[:, 0], end_positions=spans[:, 1]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            curve.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(float(loss.detach()))
        if args.state:
            torch.save(dict(parts=[part.state_dict() for part in (model, optimizer, curve)], torch=torch.get_rng_state(),
                            random=random.getstate(), epoch=epoch, updated=updated), args.state)
        print(json.dumps(dict(epoch=epoch, schedule=args.schedule, windows=len(train), secs=round(time.perf_counter() - begin, 1),
                              loss=sum(losses) / len(losses), updated_parameters=updated,
                              **evaluate(args, model, dev, rows, articles, pad))), flush=True)


if __name__ == "__main__":
    main()
