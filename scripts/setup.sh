# Sourced by the other scripts: makes .venv once, and again when the requirements change; sets $python.
# PYTHON names the interpreter to build it from (3.10 or later; default python3).

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
python="$root/.venv/bin/python"

setup() { # REQUIREMENTS_FILE
    local stamp="$root/.venv/.installed-$1" base="${PYTHON:-python3}"
    if ! "$base" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        echo "error: $base is not Python 3.10 or later; name one with PYTHON=/path/to/python3" >&2
        exit 1
    fi
    if [ -x "$python" ] && [ -f "$stamp" ] && cat requirements*.txt | cmp -s - "$stamp"; then
        return
    fi
    [ -x "$python" ] || "$base" -m venv "$root/.venv"
    echo "installing $1 into .venv (a few minutes the first time)" >&2
    "$python" -m pip install --quiet --disable-pip-version-check -r "$1"
    cat requirements*.txt > "$stamp"
}
