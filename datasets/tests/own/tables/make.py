"""Generates random tables and writes each in a random format, encoding, compression and layout, for `tables.rs`.

    python make.py            # writes draws.json beside this file

The expected contents of a table are not those that were written, but those that csv, json, pandas and pyarrow read back from
the file. The number of a table is its random seed. Needs pandas and pyarrow.
"""

import base64
import collections
import csv
import gzip
import io
import json
import math
import pathlib
import random

import pandas
import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet

N_DRAWS = 240
PIECES = [
    "good", "bad film", "é", "日本語", "🙂", "ß\u0301", "a,b", "x;y", "p|q", '"', '""', "'", "\\", "\\n", "5\" disk",
    "NaN", "null", "None", "NA", "-1", "3.5", "True", "sep=;", "#", "{", "[1]", " ", "  lead", "trail ", "\u2028", "\u00a0",
]
BREAKS = ["\n", "\r\n", "\t", "line\nline"]
LABELS = {
    "names": ["neg", "pos", "neutral", "no, thanks", "ja;nein", "naïve", "日"],
    "whole": [0, 1, 2, -1, 10],
    "scores": [0.5, 1.25, -3.0, 2.0, 1e-3],
    "truth": [True, False],
}


def text(rng, breaks):
    pieces = PIECES + (BREAKS if breaks else [])
    return " ".join(rng.choice(pieces) for _ in range(rng.randint(1, 5)))


def draw_table(rng, kind, breaks):
    n = rng.randint(4, 9)
    table = {"id": list(range(n)), "text": [text(rng, breaks) for _ in range(n)]}
    if rng.random() < 0.3:
        table = {"sentence1": table["text"], "sentence2": [text(rng, breaks) for _ in range(n)]}
    if kind in LABELS:
        values = rng.sample(LABELS[kind], min(len(LABELS[kind]), rng.randint(2, 4)))
        if kind == "scores" and all(value == int(value) for value in values):
            values.append(0.5)
        label = values + [rng.choice(values) for _ in range(n)]
        label = label[: max(n, len(values))]
    elif kind == "lists":
        label = [["a"], ["b", "ü"], []] + [rng.sample(["a", "b", "ü"], rng.randint(0, 3)) for _ in range(n)]
    elif kind == "ids":
        label = [[0], [2, 1]] + [rng.sample([0, 1, 2, 3], rng.randint(0, 3)) for _ in range(n)]
    else:
        width = rng.randint(3, 5)
        of = {"vectors": int, "float vectors": float, "truth vectors": bool}[kind]
        label = [[of(rng.randint(0, 1)) for _ in range(width)] for _ in range(n)]
    label = (label + label)[: max(n, 4)]
    n = len(label)
    table = {name: (column + column)[:n] for name, column in table.items()}
    if rng.random() < 0.3:
        table["number"] = [rng.choice([1.5, math.nan, 2.0]) for _ in range(n)]
    missing = rng.random() < 0.3 and n > len(LABELS.get(kind, [1])) + 1
    label = list(label)
    if missing and kind in LABELS:
        label[-1] = None
    table["label"] = label
    return table


def rows_of(table):
    return [dict(zip(table, values)) for values in zip(*table.values())]


def write_csv(rng, table, spec):
    spec["separator"] = separator = rng.choice([",", ",", ";", "|", "\t"])
    end = "\r" if spec["cr"] else rng.choice(["\n", "\r\n"])
    header = spec["header"] = rng.random() < 0.75
    frame = pandas.DataFrame({name: pandas.Series(column, dtype=object) for name, column in table.items()})
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    body = frame.to_csv(index=False, header=header, sep=separator, lineterminator=end, quoting=quoting)
    if rng.random() < 0.2:
        body = f"sep={separator}{end}{body}"
        spec["excel"] = True
    return body


def read_csv(body, table, spec):
    if spec.get("excel"):
        body = body.split("\r" if spec["cr"] else "\n", 1)[1]
    rows = list(csv.reader(io.StringIO(body, newline=""), delimiter=spec["separator"]))
    rows = [row for row in rows if row]
    names = rows.pop(0) if spec["header"] else list(table)
    if "\r" not in body.replace("\r\n", "\n"):
        end = {"lineterminator": "\r"} if spec["cr"] else {}
        frame = pandas.read_csv(
            io.StringIO(body, newline=""), sep=spec["separator"], dtype=str, keep_default_na=False,
            names=None if spec["header"] else names, **end,
        )
        assert frame.values.tolist() == rows, (spec, frame.values.tolist(), rows)
    return [dict(zip(names, row)) for row in rows]


def write_tsv(rng, table, spec):
    def cell(value):
        return "" if value is None or value != value else str(value)

    end = "\r" if spec["cr"] else rng.choice(["\n", "\r\n"])
    spec["header"] = header = rng.random() < 0.75
    lines = [list(table)] if header else []
    lines += [[cell(value) for value in row.values()] for row in rows_of(table)]
    return "".join("\t".join(line) + end for line in lines)


def read_tsv(body, table, spec):
    lines = [line.split("\t") for line in body.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]]
    names = lines.pop(0) if spec["header"] else list(table)
    return [dict(zip(names, line)) for line in lines]


def write_json(rng, table, spec):
    rows = rows_of(table)
    ascii = rng.random() < 0.5
    indent = spec["indent"] = rng.choice([None, None, 2])
    layout = spec["layout"]
    if layout == "lines":
        return "".join(json.dumps(row, ensure_ascii=ascii) + "\n" for row in rows)
    if layout == "values":
        return "".join(json.dumps(row, ensure_ascii=ascii, indent=2) + "\n" for row in rows)
    value = {
        "array": rows,
        "data": {"version": "1", "data": rows, "n": len(rows)},
        "columns": {name: list(column) for name, column in table.items()},
    }[layout]
    return json.dumps(value, ensure_ascii=ascii, indent=indent)


def read_json(body, spec):
    layout = spec["layout"]
    if layout == "lines":
        return [json.loads(line) for line in body.split("\n") if line]
    if layout == "values":
        decoder, rows, at = json.JSONDecoder(), [], 0
        while body[at:].strip():
            row, at = decoder.raw_decode(body, at + len(body[at:]) - len(body[at:].lstrip()))
            rows.append(row)
        return rows
    value = json.loads(body)
    if layout == "array":
        return value
    return value["data"] if layout == "data" else rows_of(value)


def arrow_table(rng, table, kind, spec):
    strings = rng.choice([pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()])
    columns = {}
    for name, column in table.items():
        first = next(value for value in column if value is not None)
        if isinstance(first, str):
            array = pyarrow.array(column, type=strings)
            if rng.random() < 0.3:
                array = pyarrow.array(column, type=pyarrow.string()).dictionary_encode()
        elif kind == "whole" and name == "label":
            types = [pyarrow.int8(), pyarrow.int16(), pyarrow.int32(), pyarrow.int64(), pyarrow.decimal128(5, 0)]
            if all(value is None or value >= 0 for value in column):
                types += [pyarrow.uint8(), pyarrow.uint16(), pyarrow.uint32(), pyarrow.uint64()]
            array = pyarrow.array(column, type=pyarrow.int64()).cast(rng.choice(types[:4] + types[5:]))
            if rng.random() < 0.15:
                import decimal

                values = [None if value is None else decimal.Decimal(value) for value in column]
                array = pyarrow.array(values, type=pyarrow.decimal128(5, 0))
        elif kind == "scores" and name == "label":
            array = pyarrow.array(column, type=rng.choice([pyarrow.float16(), pyarrow.float32(), pyarrow.float64()]))
        else:
            array = pyarrow.array(column)
            if isinstance(first, list) and rng.random() < 0.3:
                array = array.cast(pyarrow.large_list(array.type.value_type))
        spec.setdefault("types", []).append(str(array.type)[:40])
        columns[name] = array
    return pyarrow.table(columns)


def write_arrow(rng, table, kind, spec):
    made = arrow_table(rng, table, kind, spec)
    out = io.BytesIO()
    if spec["format"] == "parquet":
        spec["codec"] = rng.choice(["none", "snappy", "gzip", "zstd", "zstd", "lz4", "brotli"])
        pyarrow.parquet.write_table(
            made, out, compression=spec["codec"], use_dictionary=rng.random() < 0.5, store_schema=rng.random() < 0.3,
            data_page_version=rng.choice(["1.0", "2.0"]), row_group_size=rng.choice([3, 100]),
        )
        back = pyarrow.parquet.read_table(io.BytesIO(out.getvalue()))
    elif spec["layout"] == "feather":
        spec["codec"] = rng.choice(["lz4", "uncompressed", "zstd"])
        pyarrow.feather.write_feather(made, out, compression=spec["codec"], chunksize=rng.choice([3, 100]))
        back = pyarrow.feather.read_table(io.BytesIO(out.getvalue()))
    else:
        opener = {"stream": pyarrow.ipc.new_stream, "file": pyarrow.ipc.new_file}[spec["layout"]]
        with opener(out, made.schema) as writer:
            writer.write_table(made, max_chunksize=rng.choice([3, 100]))
        reader = {"stream": pyarrow.ipc.open_stream, "file": pyarrow.ipc.open_file}[spec["layout"]]
        back = reader(io.BytesIO(out.getvalue())).read_all()
    return out.getvalue(), back.to_pylist()


def packed(rng, body, spec):
    """The bytes of a text, encoded and compressed, and the text that Python reads back from them."""
    start_is_ascii = body[:4].isascii()
    encodings = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom"]
    encodings += ["utf-16-le", "utf-16-be"] if start_is_ascii else []
    encoding = spec["encoding"] = rng.choice(encodings)
    if encoding == "utf-16-be-bom":
        raw = "\ufeff".encode("utf-16-be") + body.encode("utf-16-be")
        encoding = "utf-16"
    else:
        raw = body.encode(encoding)
    assert raw.decode(encoding) == body
    compression = spec["compression"] = rng.choice(["", "", ".gz", ".zst"])
    if compression == ".gz":
        raw = gzip.compress(raw, mtime=0)
    if compression == ".zst":
        raw = pyarrow.Codec("zstd").compress(raw, asbytes=True)
    return raw, body


def expected(rows, kind):
    """The texts, and the label as its name, its number or the names of a set."""
    found = []
    for row in rows:
        label = row["label"]
        if label is None or label == "" or label != label:
            continue
        if kind in ("vectors", "float vectors", "truth vectors"):
            label = [f"LABEL_{at}" for at, value in enumerate(label) if value]
        elif kind in ("lists", "ids"):
            label = [str(value) for value in label]
        elif kind == "scores":
            label = float(label)
        else:
            label = {True: "true", False: "false"}[label] if isinstance(label, bool) else str(label)
        first = row["text"] if "text" in row else row["sentence1"]
        found.append([first, row.get("sentence2"), label])
    return found


def draw(seed):
    rng = random.Random(seed)
    family = rng.choice(["csv", "csv", "csv", "tsv", "json", "json", "json", "parquet", "parquet", "arrow"])
    kinds = list(LABELS) + ([] if family in ("csv", "tsv") else ["lists", "ids", "vectors", "float vectors", "truth vectors"])
    kind = rng.choice(kinds)
    spec = {"seed": seed, "format": family, "kind": kind, "cr": family in ("csv", "tsv") and rng.random() < 0.2}
    table = draw_table(rng, kind, breaks=family != "tsv" and not spec["cr"])
    if family in ("csv", "tsv"):
        # A row whose last cell is empty is not blank, but TSV files and one-column files cannot tell.
        write, read = {"csv": (write_csv, read_csv), "tsv": (write_tsv, read_tsv)}[family]
        body = write(rng, table, spec)
        raw, body = packed(rng, body, spec)
        rows = read(body, table, spec)
        name = f"t.{family}"
    elif family == "json":
        spec["layout"] = rng.choice(["lines", "values", "array", "array", "data", "columns"])
        body = write_json(rng, table, spec)
        raw, body = packed(rng, body, spec)
        rows = read_json(body, spec)
        name = "t.jsonl" if spec["layout"] == "lines" else "t.json"
    else:
        spec["layout"] = rng.choice(["stream", "file", "feather"]) if family == "arrow" else "parquet"
        raw, rows = write_arrow(rng, table, kind, spec)
        name = {"parquet": "t.parquet", "feather": "t.feather"}.get(spec["layout"], "t.arrow")
    want = expected(rows, kind)
    return {
        "seed": seed,
        "about": {key: value for key, value in spec.items() if key != "seed"},
        "name": name + spec.get("compression", ""),
        "columns": list(table) if spec.get("header") is False else None,
        "skipped": len(rows) - len(want),
        "rows": want,
        "file": base64.b64encode(raw).decode(),
    }


def main():
    draws = [draw(seed) for seed in range(N_DRAWS)]
    path = pathlib.Path(__file__).with_name("draws.json")
    lines = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in draws)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    counts = collections.Counter((one["about"]["format"], one["about"].get("encoding", "")) for one in draws)
    print(f"{len(draws)} draws, {sum(len(one['rows']) for one in draws)} rows, {path.stat().st_size} bytes, {len(counts)} cells")


main()
