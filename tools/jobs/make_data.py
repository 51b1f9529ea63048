"""Makes twelve data sets in the shapes of public ones, from the data sets of `--data` and from made-up sentences.

Called by tools/measure_jobs.py. Every function writes the files as their public namesake has them, and returns the words
behind `progtune train --model DIR` that somebody would type first, and the rows as (text, second text, label) for PyTorch.
"""
import csv
import json
import random
import shutil

TRAIN, DEV = 1500, 400
ACTIONS = {
    "activate": ["activate", "switch on", "start using"], "cancel": ["cancel", "stop", "get rid of"], "replace": ["replace", "get a new one for", "renew"],
    "find": ["find", "locate", "see"], "change": ["change", "update", "edit"], "pay": ["pay for", "settle", "pay off"],
    "complain": ["complain about", "report a problem with", "dispute"], "compare": ["compare", "weigh up", "choose between offers of"],
    "share": ["share", "give my partner access to", "lend"], "explain": ["understand", "get an explanation of", "learn about"],
    "transfer": ["transfer", "move", "hand over"], "insure": ["insure", "protect", "cover"], "rate": ["rate", "review", "score"],
    "schedule": ["schedule", "plan", "set a date for"], "translate": ["translate", "read in French", "get in another language"],
}
OBJECTS = {
    "card": ["card", "debit card"], "account": ["account", "current account"], "pin": ["PIN", "secret number"], "loan": ["loan", "credit"],
    "statement": ["statement", "monthly overview"], "refund": ["refund", "money back"], "top_up": ["top-up", "deposit"],
    "limit": ["limit", "daily limit"], "fee": ["fee", "charge"], "mortgage": ["mortgage", "home loan"], "cheque": ["cheque", "paper cheque"],
}
FRAMES = ["How do I {a} my {o}?", "I want to {a} the {o}", "{a} {o} please", "can you help me {a} my {o}", "Is it possible to {a} a {o}{x}?",
          "About my {o}: I need to {a} it{x}", "What must I do to {a} my {o}{x}?", "please let me {a} my {o}{x}", "trying to {a} the {o}{x}, no luck"]
EXTRAS = ["", "", " today", " from abroad", " with the app", " before Friday", " without calling"]


def intents(actions, objects, per_class, seed):
    """Made-up requests of `actions` times `objects` classes."""
    draw, rows = random.Random(seed), []
    for action in list(ACTIONS)[:actions]:
        for thing in list(OBJECTS)[:objects]:
            for _ in range(per_class):
                a, o = draw.choice(ACTIONS[action]), draw.choice(OBJECTS[thing])
                rows.append((draw.choice(FRAMES).format(a=a, o=o, x=draw.choice(EXTRAS)), None, f"{action}_{thing}"))
    draw.shuffle(rows)
    return rows


def table(path, rows, header, dialect="excel"):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, dialect=dialect, lineterminator="\n")
        if header:
            writer.writerow(header)
        writer.writerows(rows)


def lines(path, objects):
    path.write_text("".join(json.dumps(one) + "\n" for one in objects), encoding="utf-8")


def tsv(path, header=True):
    """The rows of a GLUE file as dictionaries."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").split("\n") if line]
    return [dict(zip(rows[0], row)) for row in rows[1:]]


def files(out, ending="csv", names=("train", "test")):
    train, dev = (out / f"{name}.{ending}" for name in names)
    return train, dev, ["--train-file", train, "--validation-file", dev]


def banking77(data, out):
    rows = {"train": intents(11, 7, 18, 1), "dev": intents(11, 7, 5, 2)}
    train, dev, words = files(out)
    for path, part in ((train, "train"), (dev, "dev")):
        table(path, [(text, label) for text, _, label in rows[part]], ["text", "category"])
    return words, rows


def clinc150(data, out):
    rows = {"train": intents(15, 10, 10, 3), "dev": intents(15, 10, 3, 4)}
    train, dev, words = files(out, "jsonl", ("train", "validation"))
    for path, part in ((train, "train"), (dev, "dev")):
        lines(path, [{"text": text, "intent": label} for text, _, label in rows[part]])
    return words, rows


def sick(data, out):
    train, dev, words = files(out, "txt", ("SICK_train", "SICK_trial"))
    rows = {}
    for path, part, n in ((train, "train", TRAIN), (dev, "dev", DEV)):
        known = [row for row in tsv(data / f"STS-B/{part}.tsv") if "score" in row][:n]
        rows[part] = [(r["sentence1"], r["sentence2"], float(r["score"])) for r in known]
        body = [f"{i}\t{a}\t{b}\t{score}\n" for i, (a, b, score) in enumerate(rows[part], 1)]
        path.write_text("pair_ID\tsentence_A\tsentence_B\trelatedness_score\n" + "".join(body), encoding="utf-8")
    return words, rows


def sms_spam(data, out):
    known = tsv(data / "SST-2/train.tsv")
    spam = [row["sentence"].strip() for row in known if row["label"] == "0"][: 13 * (TRAIN + DEV) // 100]
    ham = [row["sentence"].strip() for row in known if row["label"] == "1"][: TRAIN + DEV - len(spam)]
    rows = [(text, None, "spam") for text in spam] + [(text, None, "ham") for text in ham]
    random.Random(5).shuffle(rows)
    path = out / "SMSSpamCollection"
    path.write_text("".join(f"{label}\t{text}\n" for text, _, label in rows), encoding="utf-8")
    return ["--train-file", path, "--validation-split", "0.2", "--label-column", "1", "--text-column", "2"], {"train": rows[DEV:], "dev": rows[:DEV]}


def articles(data):
    """(title, question, context) of SQuAD's questions, of four articles."""
    found = {}
    for article in json.loads((data / "SQuAD/split/train.json").read_text())["data"]:
        asked = [(qa["question"], part["context"].split(". ")[0]) for part in article["paragraphs"] for qa in part["qas"]]
        found[article["title"]] = asked
    longest = sorted(found, key=lambda title: -len(found[title]))[:4]
    return {title: found[title] for title in longest}


def ag_news(data, out):
    rows = [(question, context, str(number)) for number, asked in enumerate(articles(data).values(), 1) for question, context in asked[:400]]
    random.Random(6).shuffle(rows)
    rows = {"train": rows[DEV:], "dev": rows[:DEV]}
    train, dev, words = files(out)
    for path, part in ((train, "train"), (dev, "dev")):
        table(path, [(label, title, description) for title, description, label in rows[part]], None)
    return [*words, "--label-column", "1", "--text-column", "2", "--pair-column", "3"], rows


def snli(data, out):
    known = [json.loads(line) for line in (data / "MNLI/dev.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [(row["premise"], row["hypothesis"], row["label"]) for row in known[: TRAIN + DEV]]
    rows = {"train": rows[DEV:], "dev": rows[:DEV]}
    train, dev, words = files(out, "jsonl", ("snli_1.0_train", "snli_1.0_dev"))
    for path, part in ((train, "train"), (dev, "dev")):
        made = [{"annotator_labels": [label], "gold_label": label, "pairID": f"{i}#1", "sentence1": a, "sentence2": b} for i, (a, b, label) in enumerate(rows[part])]
        # A few rows on which the annotators did not agree, as the real files have them.
        lines(path, made + [{**one, "gold_label": "-"} for one in made[:9]])
    return words, rows


def qqp(data, out):
    rows = {}
    train, dev, words = files(out, "tsv", ("train", "dev"))
    for path, part, n in ((train, "train", TRAIN), (dev, "dev", DEV)):
        rows[part] = [(r["#1 String"], r["#2 String"], r["Quality"]) for r in tsv(data / f"MRPC/{part}.tsv")[:n]]
        body = [f"{i}\t{2 * i}\t{2 * i + 1}\t{a}\t{b}\t{label}\n" for i, (a, b, label) in enumerate(rows[part])]
        path.write_text("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n" + "".join(body), encoding="utf-8")
    return words, rows


def reviews(data):
    """The sentences of MR: negative, then positive."""
    return {label: (data / f"MR/rt-polarity.{label}").read_text(encoding="cp1252").splitlines()[: (TRAIN + DEV) // 2] for label in ("neg", "pos")}


def subj(data, out):
    rows = [(text, None, label) for label, texts in reviews(data).items() for text in texts]
    random.Random(7).shuffle(rows)
    rows = {"train": rows[DEV:], "dev": rows[:DEV]}
    train, dev, words = files(out, "jsonl")
    for path, part in ((train, "train"), (dev, "dev")):
        lines(path, [{"text": text, "label": int(label == "pos"), "label_text": label} for text, _, label in rows[part]])
    return words, rows


def sorted_file(data, out):
    rows = [(text, None, label) for label, texts in reviews(data).items() for text in texts]
    path = out / "reviews.csv"
    table(path, [(text, label) for text, _, label in rows], ["review", "sentiment"])
    random.Random(8).shuffle(rows)
    return ["--train-file", path, "--validation-split", "0.2"], {"train": rows[DEV:], "dev": rows[:DEV]}


TOPICS = {"space": ["rocket", "planet", "astronaut"], "love": ["wedding", "kiss", "sweetheart"], "crime": ["murder", "detective", "robbery"],
          "war": ["battle", "soldier", "siege"], "music": ["singer", "concert", "violin"], "food": ["chef", "kitchen", "feast"]}


def multi_label(data, out):
    draw, rows = random.Random(9), []
    for _ in range(TRAIN + DEV):
        chosen = draw.sample(sorted(TOPICS), draw.choice([1, 1, 2, 3]))
        said = [f"a {draw.choice(TOPICS[topic])}" for topic in chosen]
        rows.append((draw.choice(["A film about {}", "We watch {} for two hours", "There is {}, and little else"]).format(" and ".join(said)), None, sorted(chosen)))
    rows = {"train": rows[DEV:], "dev": rows[:DEV]}
    train, dev, words = files(out)
    for path, part in ((train, "train"), (dev, "dev")):
        table(path, [(text, "|".join(labels)) for text, _, labels in rows[part]], ["plot", "genres"])
    # Without the separator, which progtune then proposes, every combination is a class.
    return [*words, "--label-separator", "|"], rows


def wnut17(data, out):
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        shutil.copy(data / "WNUT17" / name, out)
    return ["--train-file", out / "wnut17train.conll", "--validation-file", out / "emerging.dev.conll"], None


def squad(data, out):
    """The first questions of SQuAD's own form."""
    for part, n in (("train", TRAIN), ("dev", DEV)):
        whole, left, kept = json.loads((data / f"SQuAD/split/{part}.json").read_text()), n, []
        for article in whole["data"]:
            for paragraph in article["paragraphs"]:
                paragraph["qas"] = paragraph["qas"][:left]
                left -= len(paragraph["qas"])
            article["paragraphs"] = [paragraph for paragraph in article["paragraphs"] if paragraph["qas"]]
            if article["paragraphs"]:
                kept.append(article)
        (out / f"{part}-v1.1.json").write_text(json.dumps({**whole, "data": kept}))
    return ["--task", "squad", "--data", out], None


# Name -> the maker, the metric in all_results.json.
JOBS = {
    "Banking77": (banking77, "eval_accuracy"), "CLINC150": (clinc150, "eval_accuracy"), "SICK": (sick, "eval_pearson"),
    "SMS Spam": (sms_spam, "eval_f1"), "AG News": (ag_news, "eval_accuracy"), "SNLI": (snli, "eval_accuracy"), "QQP": (qqp, "eval_f1"),
    "SUBJ": (subj, "eval_accuracy"), "a sorted file": (sorted_file, "eval_accuracy"), "several labels": (multi_label, "eval_f1_micro"),
    "WNUT17": (wnut17, "eval_f1"), "SQuAD": (squad, "eval_f1"),
}
