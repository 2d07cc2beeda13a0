#!/usr/bin/env python3
"""Make Bantam's packages for this system: `python3 packaging/build.py`. Needs Python 3.11 to 3.13, a C++ compiler."""

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit("The build needs Python 3.11, 3.12 or 3.13, which also becomes the program's own.")

from bundle.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
