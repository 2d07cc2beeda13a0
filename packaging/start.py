#!/usr/bin/env python3
"""Set Bantam up in `.venv` and open it, with nothing but Python: `python3 packaging/start.py`.

`start.py test [pytest arguments]` does the same set-up with the test tools and runs every check; `lint`, `types` and
`fmt` run a part of them, on a PATH where one is given.
This file keeps to the syntax of any Python 3, so that one that is too old says which is needed, and no syntax error.
"""

import sys

if sys.version_info < (3, 8):  # noqa: UP036 - an old Python does run this line
    sys.exit("Bantam needs Python 3.11 to 3.13. Start it with one of these: python3.12 packaging/start.py")

from bootstrap.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
