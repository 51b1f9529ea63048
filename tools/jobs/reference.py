"""The PyTorch side of tools/measure_jobs.py: fine-tunes all of a model with transformers' heads, and prints one number.

    python reference.py JOB.json

The file has `model`, `kind` (single, several, number or squad), `metric`, `train` and `dev` (rows of text, second text, label; for
squad the paths of the files), and progtune's settings: `epochs`, `lr`, `batch_size`, `max_length`, `seed`, `threads`. Dynamic padding,
AdamW without weight decay, linear decay, gradients clipped at 1.0.
"""
import collections
import json
import re
import string
import sys

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch.utils.data import DataLoader
from transformers import (AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoTokenizer,
                          get_linear_schedule_with_warmup, set_seed)

STRIDE = 128


def train(model, examples, job, collate):
    loader = DataLoader(examples, job["batch_size"], shuffle=True, collate_fn=collate)
    optimizer = torch.optim.AdamW(model.parameters(), job["lr"], weight_decay=0.0)
    curve = get_linear_schedule_with_warmup(optimizer, 0, len(loader) * job["epochs"])
    model.train()
    for _ in range(job["epochs"]):
        for batch in loader:
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            curve.step()
            optimizer.zero_grad()
    model.eval()


def padded(tokenizer, encoded):
    keys = ("input_ids", "token_type_ids", "attention_mask")
    return tokenizer.pad([{key: one[key] for key in keys} for one in encoded], return_tensors="pt")


def classify(job, tokenizer):
    """Sequence classification or regression: the metric of the dev rows."""
    rows, kind = job["train"], job["kind"]
    if kind == "number":
        names, target = ["score"], float
        arguments = dict(num_labels=1, problem_type="regression")
    else:
        flat = [label for _, _, label in rows] if kind == "single" else [label for _, _, labels in rows for label in labels]
        names = sorted(set(flat))
        target = names.index if kind == "single" else lambda labels: [float(name in labels) for name in names]
        arguments = dict(num_labels=len(names), problem_type=f"{'single' if kind == 'single' else 'multi'}_label_classification")
    model = AutoModelForSequenceClassification.from_pretrained(job["model"], **arguments)
    encode = lambda row: tokenizer(row[0], row[1], truncation=True, max_length=job["max_length"], return_token_type_ids=True)

    def collate(batch):
        labels = torch.tensor([target(row[2]) for row, _ in batch])
        return {**padded(tokenizer, [encoded for _, encoded in batch]), "labels": labels}

    train(model, [(row, encode(row)) for row in rows], job, collate)
    scores, dev = [], [(row, encode(row)) for row in job["dev"]]
    with torch.no_grad():
        for at in range(0, len(dev), 64):
            scores.append(model(**padded(tokenizer, [encoded for _, encoded in dev[at:at + 64]])).logits.numpy())
    scores = np.concatenate(scores)
    if kind == "number":
        return np.corrcoef(scores[:, 0], [row[2] for row, _ in dev])[0, 1]
    if kind == "several":
        return f1_score([target(row[2]) for row, _ in dev], scores > 0, average="micro")
    said, true = scores.argmax(1), [target(row[2]) for row, _ in dev]
    # progtune's `f1` is that of the second class.
    return accuracy_score(true, said) if job["metric"] == "eval_accuracy" else f1_score(true, said)


def questions(path):
    with open(path) as file:
        for article in json.load(file)["data"]:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    yield asked["question"], paragraph["context"], [(a["answer_start"], a["text"]) for a in asked["answers"]]


def windows(tokenizer, rows, job):
    """The windows of each question with the labels of its first answer."""
    found = []
    for number, (question, context, answers) in enumerate(rows):
        encoded = tokenizer(question.lstrip(), context, truncation="only_second", max_length=job["max_length"], stride=STRIDE,
                            return_overflowing_tokens=True, return_offsets_mapping=True, return_token_type_ids=True)
        start, text = answers[0]
        for at, offsets in enumerate(encoded["offset_mapping"]):
            inside = [i for i, part in enumerate(encoded.sequence_ids(at)) if part == 1]
            covered = [i for i in inside if offsets[i][0] < start + len(text) and offsets[i][1] > start]
            whole = covered and offsets[inside[0]][0] <= start and offsets[inside[-1]][1] >= start + len(text)
            one = {key: encoded[key][at] for key in ("input_ids", "token_type_ids", "attention_mask")}
            span = (covered[0], covered[-1]) if whole else (0, 0)
            found.append((one, span, number, offsets, set(inside)))
    return found


def normal(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def overlap(said, true):
    said, true = normal(said).split(), normal(true).split()
    same = sum((collections.Counter(said) & collections.Counter(true)).values())
    return 2 * same / (len(said) + len(true)) if same else float(said == true)


def answer(job, tokenizer):
    """SQuAD's F1 of the best spans of at most 30 tokens."""
    model = AutoModelForQuestionAnswering.from_pretrained(job["model"])

    def collate(batch):
        spans = torch.tensor([span for _, span, *_ in batch])
        return {**padded(tokenizer, [one for one, *_ in batch]), "start_positions": spans[:, 0], "end_positions": spans[:, 1]}

    train(model, windows(tokenizer, questions(job["train"]), job), job, collate)
    rows = list(questions(job["dev"]))
    dev, best = windows(tokenizer, rows, job), {}
    with torch.no_grad():
        for at in range(0, len(dev), 16):
            part = dev[at:at + 16]
            out = model(**padded(tokenizer, [one for one, *_ in part]))
            for row, (_, _, number, offsets, inside) in enumerate(part):
                first, last = out.start_logits[row].numpy(), out.end_logits[row].numpy()
                top = lambda scores: [i for i in np.argsort(-scores)[:20] if i in inside]
                for i in top(first):
                    for j in top(last):
                        if i <= j < i + 30:
                            score = first[i] + last[j]
                            if score > best.get(number, (-1e9, ""))[0]:
                                best[number] = score, rows[number][1][offsets[i][0]:offsets[j][1]]
    scores = [max(overlap(best.get(n, (0, ""))[1], text) for _, text in answers) for n, (_, _, answers) in enumerate(rows)]
    return 100 * sum(scores) / len(scores)


def main():
    with open(sys.argv[1]) as file:
        job = json.load(file)
    torch.set_num_threads(job["threads"])
    set_seed(job["seed"])
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    print(json.dumps(float((answer if job["kind"] == "squad" else classify)(job, tokenizer))))


if __name__ == "__main__":
    main()
