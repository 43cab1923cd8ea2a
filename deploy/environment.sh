# Sourced by the scripts beside it: makes .venv with this checkout and the extras named, once per pyproject.toml.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

use_environment() {
    local extra=$1 venv="$root/.venv" python=${PYTHON:-} stamp
    if [ -z "$python" ]; then
        for python in python3.11 python3.12 python3.13 python3; do
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
        done
    fi
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "trio_moon needs Python 3.11 or later ($python is older or missing)" >&2
        exit 1
    }
    stamp="$extra $(cksum <"$root/pyproject.toml")"
    if ! grep -qxF "$stamp" "$venv/installed" 2>/dev/null; then
        echo "setting up $venv ..." >&2
        [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$root[$extra]" >&2
        # also where the environment forbids Python to do so by itself: compiling at each start costs a tenth of a second
        "$venv/bin/python" -m compileall -q "$root/trio_moon"
        echo "$stamp" >>"$venv/installed"
    fi
    export PATH="$venv/bin:$PATH"
}
