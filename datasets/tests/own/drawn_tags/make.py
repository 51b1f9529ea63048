"""Writes draws.json beside this script: tagged sentences, each file in a random format, layout, tagging scheme, encoding
and compression, and the words and tags that progtune must read from it. For parquet and Arrow files, pyarrow reads these back;
for CoNLL-U they follow its description (https://universaldependencies.org/format.html). A short reader in this script checks
all column files, so that no row is lost in writing.

Run it by hand, only when the fixture changes; two runs write identical files.

    python datasets/tests/own/drawn_tags/make.py

Versions: pyarrow 26.0.1, datasets 5.2.0, seqeval 1.2.2, Python 3.11.
"""
import base64
import gzip
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, List, Value
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Tokens

SEED = 20261128
DRAWS = {"conll": 150, "conllu": 30, "json": 24, "parquet": 24, "arrow": 24}
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig"]
JSON_LAYOUTS = ["lines"]
PARQUET_CODECS = ["none", "snappy", "gzip"]
WORDS = "Anna lives in New York , not # # 1 1-2 déjà 漢字 😀 Straße a\u0301 \"quoted\" 'tis don't \\ O B-LOC -- @x http://a.b/#c".split()
KINDS = ["PER", "LOC", "corp-type", "Ort"]
SCHEMES = {"IOB2": IOB2, "IOB1": IOB1, "IOBES": IOBES, "BILOU": BILOU}


def tag_entity(scheme, kind, n, touches):
    """The tags of an entity of n words. `touches` says whether it follows one of its kind."""
    if scheme == "IOB1":
        parts = ["B" if touches else "I"] + ["I"] * (n - 1)
    elif scheme == "IOB2":
        parts = ["B"] + ["I"] * (n - 1)
    else:
        single, end = ("S", "E") if scheme == "IOBES" else ("U", "L")
        parts = [single] if n == 1 else ["B"] + ["I"] * (n - 2) + [end]
    return [f"{part}-{kind}" for part in parts]


def sentence(rng, scheme):
    words, tags, entities = [], [], []
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.6:
            n, kind = rng.randint(1, 3), rng.choice(KINDS)
            touches = bool(entities) and entities[-1] == (kind, len(words))
            tags += tag_entity(scheme, kind, n, touches)
            entities.append((kind, len(words) + n))
        else:
            n = rng.randint(1, 3)
            tags += ["O"] * n
        words += rng.choices(WORDS, k=n)
    # seqeval must find as many entities in these tags as were put in
    assert len(Tokens(tags, SCHEMES[scheme]).entities) == len(entities), (scheme, tags)
    return words, tags


def drawn(rng, draw):
    scheme = rng.choice(list(SCHEMES))
    draw["how"] += " " + scheme
    return [sentence(rng, scheme) for _ in range(rng.randint(2, 5))]


def finish(rng, draw, text):
    encoding = rng.choice(ENCODINGS)
    how = rng.choice([None, None, None, "gzip", "zstd"])
    draw["how"] += f" {encoding} {how}"
    data = text.encode(encoding)
    if how == "gzip":
        data = gzip.compress(data, mtime=0)
    return pa.compress(data, codec="zstd", asbytes=True) if how == "zstd" else data


def draw_conll(rng, draw):
    sentences = drawn(rng, draw)
    separator, end = rng.choice(["\t", " "]), rng.choice(["\n", "\r\n"])
    n_between = rng.choice([0, 0, 1, 2])
    has_comments, has_documents = rng.random() < 0.4, rng.random() < 0.25
    lines = []
    for number, (words, tags) in enumerate(sentences):
        if has_documents and number % 2 == 0:
            lines += [separator.join(["-DOCSTART-"] + ["-X-"] * n_between + ["O"]), ""]
        if has_comments:
            lines.append(rng.choice([f"# id {number}a-{number}\tdomain=train", f"# id {number}", "# text = " + " ".join(words), "# a comment"]))
        for word, tag in zip(words, tags):
            lines.append(separator.join([word] + [rng.choice(["_", "NN", "VB"]) for _ in range(n_between)] + [tag]))
        lines += [""] * rng.choice([1, 1, 1, 2])
    text = end.join(lines) + (end if rng.random() < 0.5 else "")
    if rng.random() < 0.3:
        text = text.rstrip("\r\n")
    draw["how"] += f" {separator!r} {end!r} {n_between + 2} columns comments {has_comments} documents {has_documents}"
    draw["name"] = rng.choice(["a.conll", "a.bio", "a.iob2"])
    draw["sentences"] = sentences
    cells = [line.split(separator) for line in text.split(end) if line and not line.startswith("-DOCSTART-")]
    words = [line for line in cells if len(line) == n_between + 2 and not " ".join(line).startswith(("# id", "# text", "# a "))]
    assert [line[0] for line in words] == [word for words, _ in sentences for word in words], draw
    return finish(rng, draw, text)


def draw_conllu(rng, draw):
    """Parts of speech in the fourth column, with lines for two words written as one and for omitted words."""
    sentences, lines = [], []
    for number in range(rng.randint(2, 4)):
        words = rng.choices(WORDS, k=rng.randint(2, 6))
        tags = [rng.choice(["NOUN", "VERB", "PUNCT", "X"]) for _ in words]
        lines += [f"# sent_id = {number}", "# text = " + " ".join(words)]
        for at, (word, tag) in enumerate(zip(words, tags), 1):
            if at < len(words) and rng.random() < 0.2:
                lines.append("\t".join([f"{at}-{at + 1}", word + words[at]] + ["_"] * 8))
            lines.append("\t".join([str(at), word, "_", tag, "_", "_", str(at - 1), "dep", "_", "_"]))
            if rng.random() < 0.1:
                lines.append("\t".join([f"{at}.1", "gone", "_", "VERB"] + ["_"] * 6))
        lines.append("")
        sentences.append((words, tags))
    draw["name"] = rng.choice(["a.conll", "a.conllu"])
    # the layout identifies the words, but not the tags
    if rng.random() < 0.5:
        draw["text_column"] = "2"
    draw["label_column"] = "4"
    draw["sentences"] = sentences
    return finish(rng, draw, "\n".join(lines) + "\n")


def draw_json(rng, draw):
    sentences = drawn(rng, draw)
    rows = [{"id": number, "tokens": words, "ner_tags": tags} for number, (words, tags) in enumerate(sentences)]
    layout = rng.choice(JSON_LAYOUTS)
    dump = lambda value, **how: json.dumps(value, ensure_ascii=rng.random() < 0.5, **how)
    text = {
        "lines": lambda: "".join(dump(row) + "\n" for row in rows),
        "array": lambda: dump(rows),
        "pretty": lambda: dump(rows, indent=2),
        "data": lambda: dump({"data": rows}),
        "columns": lambda: dump({name: [row[name] for row in rows] for name in rows[0]}),
    }[layout]()
    draw["how"] += " " + layout
    draw["name"] = rng.choice(["a.json", "a.jsonl"])
    draw["sentences"] = sentences
    return finish(rng, draw, text)


def with_ids(rng, draw):
    """The sentences with the names of their tags, or with ids whose names are in the schema."""
    sentences = drawn(rng, draw)
    words, tags = [words for words, _ in sentences], [tags for _, tags in sentences]
    if rng.random() < 0.3:
        return pa.table({"tokens": words, "ner_tags": tags}), None
    names = sorted({tag for row in tags for tag in row} | {"B-never"})
    rng.shuffle(names)
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=names))})
    made = pa.table({"tokens": words, "ner_tags": [[names.index(tag) for tag in row] for row in tags]})
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features.to_dict()}})}), names


def expect(draw, back, names):
    tags = back.column("ner_tags").to_pylist()
    if names:
        names = Features.from_arrow_schema(back.schema)["ner_tags"].feature.names
        tags = [[names[id] for id in row] for row in tags]
        draw["labels"] = names
    draw["sentences"] = list(zip(back.column("tokens").to_pylist(), tags))


def draw_parquet(rng, draw):
    made, names = with_ids(rng, draw)
    how = {"compression": rng.choice(PARQUET_CODECS), "data_page_version": rng.choice(["1.0", "2.0"])}
    out = io.BytesIO()
    pq.write_table(made, out, write_statistics=False, **how)
    draw["how"] += f" {how}"
    draw["name"] = "a.parquet"
    expect(draw, pq.read_table(io.BytesIO(out.getvalue())), names)
    return out.getvalue()


def draw_arrow(rng, draw):
    made, names = with_ids(rng, draw)
    compression, is_stream = rng.choice([None, "lz4", "zstd"]), rng.random() < 0.5
    out = io.BytesIO()
    with (pa.ipc.new_stream if is_stream else pa.ipc.new_file)(out, made.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(made, max_chunksize=rng.choice([2, 1000]))
    draw["how"] += f" {'stream' if is_stream else 'file'} {compression}"
    draw["name"] = "data-00000-of-00001.arrow"
    expect(draw, (pa.ipc.open_stream if is_stream else pa.ipc.open_file)(pa.BufferReader(out.getvalue())).read_all(), names)
    return out.getvalue()


FORMATS = {"conll": draw_conll, "conllu": draw_conllu, "json": draw_json, "parquet": draw_parquet, "arrow": draw_arrow}


def main():
    draws = []
    for format, n in DRAWS.items():
        for number in range(n):
            seed = f"{SEED} {format} {number}"
            draw = {"seed": seed, "how": format}
            data = FORMATS[format](random.Random(seed), draw)
            draws.append(draw | {"file": base64.b64encode(gzip.compress(data, mtime=0)).decode()})
    lines = ",\n".join(json.dumps(draw, ensure_ascii=True) for draw in draws)
    path = Path(__file__).with_name("draws.json")
    path.write_text(f"[\n{lines}\n]\n")
    print(len(draws), "draws,", path.stat().st_size, "bytes")


main()
