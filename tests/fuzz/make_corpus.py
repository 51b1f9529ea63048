"""Writes corpus/: for every target of tests/src/hostile_input.rs a folder of small files, among them a real
one of its format. Files that once broke a reader are added by hand and kept (their names begin with
`found-`).

Called by hand, only when a target or a format is added; it takes a second. It needs cc for the library, and a release
build for the records of a run.

    python tests/fuzz/make_corpus.py

Models, adapters and tokenizers come from tests/fixtures, whose contents are made up.
"""
import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FIXTURES = HERE.parent / "fixtures"
DATA = HERE.parents[1] / "datasets/tests/corpus"
PROGRAM = HERE.parents[1] / "target/release/progtune"

MANIFEST = {
    "name": "example", "version": "1.0.0", "license": "MIT",
    "entries": [
        {"id": "half", "kind": "schedule", "summary": "Trains the top half.",
         "options": [{"name": "share", "kind": "float", "default": 0.5, "min": 0, "max": 1, "help": "Share of the blocks."}]},
        {"id": "scale", "kind": "method", "summary": "Scales.",
         "options": [{"name": "modules", "kind": "strs", "default": ["query"], "help": "Modules."},
                     {"name": "mode", "kind": "str", "default": "a", "choices": ["a", "b"], "help": "Mode."}]},
    ],
}


def put(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def copy(target, path, name=None):
    put(target, name or path.name, path.read_bytes())


def safetensors(tensors, metadata=None):
    """A file of (name, dtype, shape, bytes)."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def manifest_record():
    text = json.dumps(MANIFEST).encode()
    return b"PROGTUNE-PLUGIN\n" + struct.pack("<4I", 1, 1, 1, len(text)) + text


def library():
    """A dynamic library with nothing but the section."""
    record = ",".join(str(byte) for byte in manifest_record())
    source = f'__attribute__((section(".progtune"), used)) const unsigned char record[] = {{{record}}};\n'
    with tempfile.TemporaryDirectory() as folder:
        code, target = Path(folder) / "x.c", Path(folder) / "x.so"
        code.write_text(source)
        flags = ["-shared", "-nostdlib", "-s", "-Wl,--build-id=none", "-Wl,-z,noseparate-code", "-Wl,-z,max-page-size=64"]
        subprocess.run(["cc", *flags, "-o", target, code], check=True)
        return target.read_bytes()


def prefix_slot(entry, boundary, numbers):
    """A slot of the prefix cache, as host/src/prefix_cache/disk.rs writes it."""
    values = b"".join(struct.pack("<f", number) for number in numbers)
    label = struct.pack("<3I", 0x58465250, boundary, len(numbers)) + bytes([boundary] * 16)
    checksum = zlib.crc32(struct.pack("<Q", entry) + label + bytes(4) + values)
    return label + struct.pack("<I", checksum) + values


def models():
    floats = struct.pack("<4f", 1, 2, 3, 4)
    put("safetensors", "types.safetensors", safetensors([
        ("a", "F32", [2, 2], floats), ("b", "F16", [2], bytes(4)), ("c", "BF16", [1], bytes(2)), ("d", "F64", [1], bytes(8)),
        ("e", "I64", [1], bytes(8)), ("f", "F32", [0, 3], b""), ("g", "I8", [2, 2], bytes(4)), ("g.scale", "F32", [2], bytes(8)),
    ], {"format": "pt"}))
    put("safetensors", "empty_shape", safetensors([("a", "F32", [0, 1 << 63, 4], b"")]))
    copy("safetensors", FIXTURES / "pickles/values.safetensors")
    for name in ("zip.bin", "legacy.bin", "deflated.bin", "adapter/adapter_model.bin"):
        copy("pickle", FIXTURES / "pickles" / name)
    for path in sorted((FIXTURES / "pickles/hostile").iterdir()):
        copy("pickle", path)
    for model in ("bert", "roberta", "bert_regression"):
        copy("config_json", FIXTURES / f"parity/{model}/config.json", f"{model}.json")
    put("config_json", "python", '{"model_type": "bert", "vocab_size": 9.0, "hidden_size": 8, "num_hidden_layers": 1,'
        ' "num_attention_heads": 2, "intermediate_size": 4, "layer_norm_eps": 1e-5, "x": NaN, "id2label": {"0": "a", "1": null}}')
    copy("shard_index", FIXTURES / "pickles/model/pytorch_model.bin.index.json")
    put("shard_index", "outside", '{"weight_map": {"a": "../../x.bin"}}')
    for method in ("lora", "dora", "ia3", "vera", "prefix"):
        copy("adapter_config", FIXTURES / f"parity/bert/{method}/adapter_config.json", f"{method}.json")
    put("adapter_config", "pattern", json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "task_type": "SEQ_CLS",
        "target_modules": ".*(query|value)$", "rank_pattern": {"query": 2}, "layers_to_transform": [0], "bias": "none"}))


def tokenizers():
    bert, roberta = FIXTURES / "parity/bert", FIXTURES / "parity/roberta"
    copy("tokenizer_json", bert / "tokenizer.json", "word_piece.json")
    small = {"version": "1.0", "added_tokens": [{"id": 0, "content": "<s>", "special": True}],
             "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
             "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\\\s+|\\\\w+"}, "behavior": "Isolated", "invert": False},
             "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False},
             "decoder": None, "truncation": None, "padding": None,
             "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                       "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                       "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}, "merges": [["a", "b"]]}}
    put("tokenizer_json", "bpe.json", json.dumps(small))
    small["model"] = {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": [["<unk>", 0.0], ["a", -1.0], ["</s>", -2.0], ["<s>", -3.0]]}
    put("tokenizer_json", "unigram.json", json.dumps(small))
    copy("tokenizer_config", bert / "tokenizer_config.json")
    put("tokenizer_config", "flags", json.dumps({"do_lower_case": False, "strip_accents": None, "model_max_length": 9, "truncation_side": "left",
        "cls_token": {"__type": "AddedToken", "content": "[CLS]", "special": True}, "added_tokens_decoder": {"4": {"content": "[MASK]", "special": True}},
        "extra_special_tokens": ["[A]"], "image_token": "[I]", "tokenizer_class": "BertTokenizerFast"}))
    put("tokenizer_config", "added_tokens", '{"[NEW]": 12, "kebe": 5}')
    copy("vocab", bert / "vocab.txt")
    merges = "".join((roberta / "merges.txt").open(encoding="utf-8").readlines()[:40])
    vocabulary = json.loads((roberta / "vocab.json").read_text(encoding="utf-8"))
    put("merges", "byte_level", json.dumps(dict(list(vocabulary.items())[:330])) + "\n====\n" + merges)


def settings():
    put("toml_config", "run.toml", 'model = "bert"\ntask = "own"\ntrain_file = ["a.csv"]\nvalidation_split = 0.1\nseed = 7\nlr = 2e-5\n'
        'text_column = "title"\nmax_length = 128\n[peft_options]\nrank = 8\n')
    for name in ("adapter", "full"):
        copy("toml_config", FIXTURES / f"made_by_0_1/{name}/config.toml", f"{name}.toml")
    put("lock", "progtune.lock", 'version = 1\n\n[[plugin]]\nname = "mine"\nversion = "0.3.0"\nsha256 = "' + "0f" * 32
        + '"\nschedules = []\nmethods = ["mine"]\n')
    put("manifest", "record", manifest_record())
    put("plugin_library", "example.so", library())
    copy("task_json", FIXTURES / "made_by_0_1/adapter/task.json")
    put("task_json", "own", json.dumps({"problem_type": "single_label_classification", "labels": ["a", "b"], "text_column": "t",
        "pair_column": "p", "label_column": "l", "columns": ["t", "p", "l"], "file_format": "csv", "max_length": 64}))


def caches():
    for number, path in enumerate(sorted((FIXTURES / "made_by_0_1/cache/tokenized").glob("*.tokens"))):
        copy("token_cache", path, f"store-{number}")
    lists = [(1, 1, [3]), (3, 1, [5, 6, 7]), (3, 0, []), (1, 1, [1]), (1, 1, [1]), (1, 1, [1])]
    put("token_cache", "block", b"".join(struct.pack("<IB", count, width) + bytes(values) for count, width, values in lists))
    put("prefix_cache", "rows", prefix_slot(0, 1, [1, 2, 3]) + prefix_slot(1, 2, [4, 5]))


def records():
    """A short run of a program that is built: a checkpoint and the records beside it."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words = "train --task mrpc --max-length 64 --schedule auto-freeze --peft bitfit --epochs 2 --batch-size 4 --max-steps 8"
        words = [PROGRAM, *words.split(), "--save-steps", "1", "--save-total-limit", "9", "--token-cache", "off", "--quiet"]
        subprocess.run([*words, "--model", FIXTURES / "parity/bert", "--data", FIXTURES / "parity/data", "--output", run], check=True)

        def read(path):
            """A record without the places of this machine."""
            text = path.read_bytes().replace(folder.encode(), b"/runs")
            return text.replace(str(HERE.parents[1]).encode(), b"/project").replace(os.getcwd().encode(), b"/project")

        state = read(run / "checkpoints/step-7.json").split(b"\n", 1)[1]
        first = f"progtune-checkpoint 1 {len(state)} {hashlib.sha256(state).hexdigest()}\n"
        put("checkpoint", "sealed", first.encode() + state)
        put("checkpoint", "bitfit", state + b"\0" + (run / "checkpoints/step-7.safetensors").read_bytes())
        names = ["config.toml", "run.json", "plan.json", "all_results.json", "metrics.jsonl"]
        put("run_records", "finished", b"\0".join(read(run / name) for name in names))
        copy("verification", run / "verification.json")


def data():
    for target, names in {"csv": ["quoted.csv", "rows.tsv"], "jsonl": ["rows.jsonl", "lists.jsonl", "sets.jsonl"],
                          "conll": ["tags.conll", "docstart.conll"]}.items():
        for name in names:
            copy(target, DATA / name)


def main():
    for folder in CORPUS.glob("*"):
        for path in folder.iterdir():
            if not path.name.startswith("found-"):
                path.unlink()
    for write in (models, tokenizers, settings, caches, records, data):
        write()
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
