"""The program: `python -m trio_moon` and `trio-moon`."""

import sys

from trio_moon.kit.later import import_later

# What the libraries import and an idle printer without TLS never needs: together a fifth of the memory.
import_later("ssl", "hmac", "hashlib", "idna", "json", "pickle", "tempfile", "bz2", "lzma")

from trio_moon.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
