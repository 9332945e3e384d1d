# Sourced by tests/hf/run: a Python that has torch, transformers and gguf.

# Debian's torch 1.13 for CPUs (150 MB with all it needs; PyPI's brings 3 GB of CUDA), and the last transformers but few
# that work with it.
HF_PACKAGES=("transformers==4.44.2" "gguf==0.19.0")

has_all() { [ -x "$(command -v "$1")" ] && "$1" -c 'import gguf, torch, transformers' >/dev/null 2>&1; }

# Prints the path of such a Python, setting one up where there is none; fails where it cannot be had.
hf_python() {
    local own="$CACHE/hf/bin/python" candidate
    for candidate in "${NUMERIC_PARITY_PYTHON:-}" "$own" python3; do
        if [ -n "$candidate" ] && has_all "$candidate"; then
            echo "$candidate"
            return 0
        fi
    done
    {
        say "Setting up torch and transformers for CPUs (170 MB, once)"
        if ! /usr/bin/python3 -c 'import torch, venv, ensurepip' 2>/dev/null; then
            # In a subshell, since not being able to install it is no reason to fail.
            (
                command -v apt-get >/dev/null || die "no apt-get: set NUMERIC_PARITY_PYTHON to a Python with torch, transformers and gguf"
                as_root apt-get update -qq
                as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-torch python3-venv >/dev/null
            ) || return 1
        fi
        rm -rf "$CACHE/hf"
        mkdir -p "$CACHE"
        /usr/bin/python3 -m venv --system-site-packages "$CACHE/hf" || return 1
        "$own" -m pip install --quiet --disable-pip-version-check --only-binary=:all: "${HF_PACKAGES[@]}" || return 1
        has_all "$own" || return 1
    } >&2
    echo "$own"
}
