"""The bundle's first lines. In a frozen program a process of multiprocessing starts here too, and is told apart."""

import multiprocessing
import sys

multiprocessing.freeze_support()

from app.__main__ import main  # noqa: E402

sys.exit(main())
