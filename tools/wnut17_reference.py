"""Fine-tunes a model on WNUT17 in PyTorch and transformers as `run_ner` does: the figure to compare with.

    pip install torch transformers seqeval
    python tools/wnut17_reference.py --model DIR --data WNUT17

Beside it `progtune --model DIR --train-file wnut17train.conll --validation-file emerging.dev.conll --problem-type token_classification
--batch-size 16 --lr 5e-5`. Tags stand at first sub-tokens, scores are seqeval's. Dynamic padding, AdamW without weight decay, linear decay,
gradients clipped at 1.0. Prints a line of JSON an epoch, last the test set's.
Versions: torch 2.15.0, transformers 5.23.0, seqeval 1.2.2, Python 3.11.
"""
import argparse
import json
import os
import time

import torch
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from torch.utils.data import DataLoader
from transformers import AutoModelForTokenClassification, AutoTokenizer, get_linear_schedule_with_warmup, set_seed


def read(path):
    """The sentences of a column file as (words, tags)."""
    sentences, words, tags = [], [], []
    with open(path, encoding="utf-8") as file:
        for line in [*file, ""]:
            # Byte order marks stand in some of the blank lines, too.
            line = line.rstrip("\n").replace("\ufeff", "")
            if line.strip():
                word, tag = line.split("\t")
                words.append(word)
                tags.append(tag)
            elif words:
                sentences.append((words, tags))
                words, tags = [], []
    return sentences


def encode(sentences, tokenizer, ids, max_length):
    """Token ids and labels; -100 at all tokens but the first of a word."""
    examples = []
    for words, tags in sentences:
        encoding = tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length)
        labels, before = [], None
        for word in encoding.word_ids():
            labels.append(-100 if word in (None, before) else ids[tags[word]])
            before = word
        examples.append((encoding["input_ids"], labels))
    return examples


def evaluate(model, loader, labels):
    model.eval()
    true, said, loss, words = [], [], 0.0, 0
    with torch.no_grad():
        for batch in loader:
            output = model(**batch)
            n = (batch["labels"] != -100).sum().item()
            loss, words = loss + output.loss.item() * n, words + n
            for best, wanted in zip(output.logits.argmax(-1).tolist(), batch["labels"].tolist()):
                kept = [(labels[b], labels[w]) for b, w in zip(best, wanted) if w != -100]
                said.append([b for b, _ in kept])
                true.append([w for _, w in kept])
    scores = dict(f1=f1_score, precision=precision_score, recall=recall_score, accuracy=accuracy_score)
    return dict(loss=loss / words, **{name: float(score(true, said)) for name, score in scores.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, help="directory of wnut17train.conll, emerging.dev.conll, emerging.test.annotated")
    for name, value in (("epochs", 3), ("batch-size", 16), ("max-length", 128), ("seed", 42), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--lr", type=float, default=5e-5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    set_seed(args.seed)
    parts = [read(os.path.join(args.data, name)) for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")]
    labels = sorted({tag for _, tags in parts[0] for tag in tags})
    ids = {label: i for i, label in enumerate(labels)}
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForTokenClassification.from_pretrained(args.model, num_labels=len(labels))

    def collate(batch):
        longest = max(len(tokens) for tokens, _ in batch)
        padded = lambda values, fill: torch.tensor([v + [fill] * (longest - len(v)) for v in values])
        return dict(input_ids=padded([t for t, _ in batch], tokenizer.pad_token_id),
                    attention_mask=padded([[1] * len(t) for t, _ in batch], 0), labels=padded([l for _, l in batch], -100))

    def loader(part, **options):
        return DataLoader(encode(part, tokenizer, ids, args.max_length), args.batch_size, collate_fn=collate, **options)

    train = loader(parts[0], shuffle=True, generator=torch.Generator().manual_seed(args.seed))
    dev, test = loader(parts[1]), loader(parts[2])
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    curve = get_linear_schedule_with_warmup(optimizer, 0, len(train) * args.epochs)
    start = time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        model.train()
        for batch in train:
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            curve.step()
            optimizer.zero_grad()
        print(json.dumps(dict(epoch=epoch, secs=round(time.perf_counter() - start, 1), **evaluate(model, dev, labels))), flush=True)
    print(json.dumps(dict(part="test", **evaluate(model, test, labels))))


if __name__ == "__main__":
    main()
