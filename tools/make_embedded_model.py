"""Makes the model that progtune embeds, so that it can train something without a download: all-MiniLM-L6-v2 with a
vocabulary pruned to about 12,000 WordPieces and its matrices in 8 bits, at most 16 MB.

Called by hand, when the model or the sample task's words change; the result is committed under host/engine/assets/ and read by
the checkpoint loader. Deterministic.

    tools/fetch_minilm.sh MODEL_DIR
    cargo run -p progtune-datasets --example sample_words > FILE
    python tools/make_embedded_model.py MODEL_DIR host/engine/assets/minilm-l6-12k --words FILE [--check]

Writes config.json, vocab.txt and model.safetensors, with the checkpoint's tensor names:
  matrices   `<name>` I8 [rows, columns] and `<name>.scale` F32 [rows]; weight[r, c] = scale[r] * I8[r, c].
             scale = largest magnitude of the row / 127, round half to even. Embeddings are matrices too.
  vectors    `<name>` F32, unchanged (biases, LayerNorm).
  metadata   format "progtune-int8-rows", base, licence.
--check compares with the original (needs torch, transformers). Versions: numpy 2.4.6, safetensors 0.8.0,
tokenizers 0.23.3; --check: torch 2.15.0, transformers 5.23.0; Python 3.11.
"""
import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import BertWordPieceTokenizer

VOCAB_SIZE, MAX_BYTES = 11_950, 16_000_000
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
METADATA = {
    "format": "progtune-int8-rows",
    "base": "sentence-transformers/all-MiniLM-L6-v2",
    "licence": "Apache-2.0",
}
EMBEDDING = "embeddings.word_embeddings.weight"


def read_vocab(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def keeps_character(char):
    """Single characters worth a row: ASCII, Latin-1, typographic quotes and dashes, the euro sign."""
    return ord(char) < 0x100 or 0x2010 <= ord(char) <= 0x2026 or char == "€"


def prune(vocab, tokenizer, words):
    """Ids to keep, ascending: special tokens, single characters, then the lowest ids (BERT's vocabulary is ordered by
    frequency) up to VOCAB_SIZE; on top of these the pieces of `words`."""
    kept = {i for i, token in enumerate(vocab) if token in SPECIAL}
    for i, token in enumerate(vocab):
        char = token.removeprefix("##")
        if len(char) == 1 and keeps_character(char):
            kept.add(i)
    for i, token in enumerate(vocab):
        if len(kept) == VOCAB_SIZE:
            break
        if len(token.removeprefix("##")) > 1 and not token.startswith("[unused"):
            kept.add(i)
    for word in words:
        kept |= set(tokenizer.encode(word, add_special_tokens=False).ids)
    return sorted(kept)


def quantise(matrix):
    """Symmetric 8-bit rows: (I8 [rows, columns], F32 scale [rows])."""
    scale = (np.abs(matrix).max(axis=1) / np.float32(127)).astype(np.float32)
    divisor = np.where(scale == 0, np.float32(1), scale)
    return np.rint(matrix / divisor[:, None]).clip(-127, 127).astype(np.int8), scale


def write_safetensors(path, tensors, metadata):
    """safetensors with a reproducible header: the library writes metadata in hash order. F32 first keeps it aligned."""
    dtypes = {"float32": "F32", "int8": "I8"}
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header, offset = {"__metadata__": metadata}, 0
    for name in names:
        tensor = tensors[name]
        end = offset + tensor.nbytes
        header[name] = dict(dtype=dtypes[tensor.dtype.name], shape=tensor.shape, data_offsets=[offset, end])
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(np.ascontiguousarray(tensors[name]).tobytes())


def read_words(path):
    return [] if path is None else [w for w in path.read_text(encoding="utf-8").split("\n") if w]


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    args.add_argument("model_dir", type=Path)
    args.add_argument("out_dir", type=Path)
    args.add_argument("--words", type=Path, help="words the vocabulary must keep whole, one a line")
    args.add_argument("--check", action="store_true", help="compare with the original")
    args = args.parse_args()

    vocab = read_vocab(args.model_dir / "vocab.txt")
    words = read_words(args.words)
    kept = prune(vocab, BertWordPieceTokenizer(str(args.model_dir / "vocab.txt"), lowercase=True), words)
    tensors = {}
    for name, tensor in load_file(args.model_dir / "model.safetensors").items():
        if name == "embeddings.position_ids":
            continue
        if name == EMBEDDING:
            tensor = tensor[kept]
        if tensor.ndim == 2:
            tensors[name], tensors[name + ".scale"] = quantise(tensor)
        else:
            tensors[name] = tensor.astype(np.float32)
    config = json.loads((args.model_dir / "config.json").read_text())
    config |= dict(vocab_size=len(kept), architectures=["BertModel"], _name_or_path="progtune/minilm-l6-12k")

    args.out_dir.mkdir(parents=True, exist_ok=True)
    write_safetensors(args.out_dir / "model.safetensors", tensors, METADATA)
    (args.out_dir / "vocab.txt").write_text("".join(vocab[i] + "\n" for i in kept), encoding="utf-8")
    (args.out_dir / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    size = sum((args.out_dir / f).stat().st_size for f in ("model.safetensors", "vocab.txt", "config.json"))
    print(f"{len(kept)} WordPieces, of them {len(kept) - VOCAB_SIZE} for {len(words)} words; {size / 1e6:.2f} MB")
    if size > MAX_BYTES:
        raise SystemExit(f"larger than {MAX_BYTES / 1e6:.0f} MB")
    if args.check:
        check(args.model_dir, args.out_dir)


def check(model_dir, out_dir):
    """Cosine similarity between the original's and the compressed model's outputs on sentences of common words."""
    import torch
    from transformers import AutoConfig, BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    small = load_file(out_dir / "model.safetensors")
    state = {name: torch.from_numpy(tensor * small[name + ".scale"][:, None] if tensor.dtype == np.int8 else tensor)
             for name, tensor in small.items() if not name.endswith(".scale")}
    compressed = BertModel(AutoConfig.from_pretrained(out_dir))
    missing, unexpected = compressed.load_state_dict(state, strict=False)
    assert not unexpected and missing in ([], ["embeddings.position_ids"]), (missing, unexpected)
    original = BertModel.from_pretrained(model_dir)
    tokenizers = [BertWordPieceTokenizer(str(d / "vocab.txt"), lowercase=True) for d in (model_dir, out_dir)]
    sentences = [
        "the film was long and the story was weak but the actors were very good",
        "he said that the company would open a new office in the city next year",
        "nobody knows why the river changed its course",
        "a small dog sits near the old stone house",
        "the music is loud , the room is full of people and we are happy",
        "two teams played on sunday and neither won",
        "she did not like the book because the ending was too simple",
        "the government published the report after three months of work",
        "good",
        "what is the best way to learn a language in a short time ?",
    ]
    cosines = {"pooler output": [], "mean of the tokens": []}
    for sentence in sentences:
        encoded = [t.encode(sentence) for t in tokenizers]
        assert encoded[0].tokens == encoded[1].tokens, sentence
        with torch.no_grad():
            outputs = [m.eval()(torch.tensor([e.ids])) for m, e in zip((original, compressed), encoded)]
        for kind, pick in (("pooler output", lambda o: o.pooler_output[0]),
                           ("mean of the tokens", lambda o: o.last_hidden_state[0].mean(0))):
            cosines[kind].append(float(torch.cosine_similarity(*map(pick, outputs), dim=0)))
    for kind, values in cosines.items():
        print(f"cosine similarity, {kind}: mean {np.mean(values):.5f}, lowest {min(values):.5f} ({len(values)} sentences)")


if __name__ == "__main__":
    main()
