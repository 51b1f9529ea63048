#!/bin/sh
# Assembles a CUDA 13.0 toolkit in DIR from five wheels of the Python registry: nvcc, cicc, ptxas, headers, the static runtime.
# It compiles kernels on a machine without a GPU or a driver. Called by hand before `cargo xtask check-kernels`.
# Needs python3 with pip on x86-64 Linux, 105 MB of download and 380 MB of disk meanwhile (270 MB afterwards).
#
#   tools/fetch_cuda.sh DIR; . DIR/env
#
# A second run checks every file against the wheels' own lists of hashes and downloads nothing when all are right.
# CUDA 13.0 and not later: a driver takes PTX of its own CUDA version or an earlier one, and many have driver 580 (CUDA 13.0).
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || {
    echo "$0: the pinned wheels are for Linux on x86-64; this is $(uname -s) on $(uname -m)" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
home=$dir/nvidia/cu13

pins() {
    cat <<'PINS'
nvidia-cuda-nvcc==13.0.88 --hash=sha256:56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
nvidia-nvvm==13.0.88 --hash=sha256:c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0
nvidia-cuda-crt==13.0.88 --hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cccl==13.0.85 --hash=sha256:e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649
PINS
}

# Whether all of the pinned wheels are unpacked and no file differs from the hash that its wheel lists.
verified() {
    pins | cmp -s - "$dir/pins" && python3 - "$dir" <<'PY'
import base64, csv, hashlib, pathlib, sys
home = pathlib.Path(sys.argv[1])
records = list(home.glob("*.dist-info/RECORD"))
for record in records:
    for name, digest, _ in csv.reader(record.open()):
        if not digest:
            continue
        path = home / name
        want = digest.removeprefix("sha256=")
        if not path.is_file():
            sys.exit(f"{path} is missing")
        with path.open("rb") as file:
            got = base64.urlsafe_b64encode(hashlib.sha256(file.read()).digest()).rstrip(b"=").decode()
        if got != want:
            sys.exit(f"{path} has the SHA-256 {got}, expected {want}")
sys.exit(0 if len(records) == 5 else f"{home} has {len(records)} of 5 packages")
PY
}

finish() {
    chmod +x "$home"/bin/* "$home"/nvvm/bin/*
    ln -sfn lib "$home/lib64"
    cat >"$dir/env" <<ENV
export CUDA_HOME="$home" CUDA_PATH="$home" NVCC="$home/bin/nvcc"
case ":\$PATH:" in *":$home/bin:"*) ;; *) export PATH="$home/bin:\$PATH" ;; esac
ENV
    echo "CUDA toolkit: $("$home/bin/nvcc" --version | sed -n 's/.*release/release/p'); next: . $dir/env"
}

if [ -f "$dir/pins" ]; then
    if verified; then
        echo "$dir is complete; every file has the hash that its package lists"
        finish
        exit 0
    fi
    echo "$dir is not the pinned toolkit (see above); it is assembled again"
fi

part=$(mktemp -d "$dir/.fetch.XXXXXX")
trap 'rm -rf "$part"' EXIT
pins >"$part/pins"
echo "downloading five pinned packages (105 MB)"
# pip refuses a package whose hash is not the pinned one.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --requirement "$part/pins" --dest "$part"
rm -rf "$dir/nvidia" "$dir"/*.dist-info "$dir/pins"
echo "unpacking into $dir"
python3 - "$part" "$dir" <<'PY'
import pathlib, sys, zipfile
for wheel in sorted(pathlib.Path(sys.argv[1]).glob("*.whl")):
    with zipfile.ZipFile(wheel) as files:
        files.extractall(sys.argv[2])
PY
mv "$part/pins" "$dir/pins"
verified || { echo "$0: the unpacked files are not those that the packages list" >&2; exit 1; }
finish
