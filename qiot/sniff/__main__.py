"""`python -m qiot.sniff`."""

from __future__ import annotations

import sys

from qiot.sniff.command import main

if __name__ == "__main__":
    sys.exit(main())
