"""`python -m qiot.hal.conformance`."""

from __future__ import annotations

import sys

from qiot.hal.conformance.command import main

if __name__ == "__main__":
    sys.exit(main())
