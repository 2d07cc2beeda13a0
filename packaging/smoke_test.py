#!/usr/bin/env python3
"""Installs the .deb into an empty Debian and uses it as a person would: `sudo python3 packaging/smoke_test.py`.

The root has what debootstrap's smallest variant has and what the package's Depends bring: no Python, no compiler, no
GPU, no GL driver, no keyring service. In it, as an ordinary user whose home has a space and letters beyond ASCII: open
the window on a virtual display, type a question, wait for the starter model's answer, open every page, take pictures,
quantize a model from a local hub, quit; prune and recover with the second package; the window on Wayland and at double
density. Then the bad cases: no display, no PyTorch, a read-only program, another version's data folder, what removing
it leaves.

Needs root, and on this machine: debootstrap, xvfb, xdotool, imagemagick, weston.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from smoke.bad_cases import (
    test_closed_data_folder,
    test_newer_data,
    test_no_display,
    test_older_data,
    test_read_only,
    test_removal,
)
from smoke.display import DISPLAY, LARGE, picture
from smoke.pruning import test_archive_of_torch, test_recipe, test_without_torch
from smoke.root import PROJECT, Root, SmokeError, background
from smoke.use import test_archive, test_is_bare, test_large_text, test_quantize, test_terminal, test_window
from smoke.wayland import test_wayland


def main() -> int:
    """Run all of it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT / "build/bundle/root", help="the empty root; kept")
    parser.add_argument("--pictures", type=Path, default=PROJECT / "build/bundle/pictures")
    parser.add_argument("--hub-python", default=sys.executable, help="a Python that runs tests.hub_server")
    options = parser.parse_args()
    if os.geteuid():
        print("This needs root, for chroot. Run it with sudo.", file=sys.stderr)
        return 1
    dist = PROJECT / "dist"
    options.pictures.mkdir(parents=True, exist_ok=True)
    root = Root(options.root)
    try:
        root.make([max(dist.glob("bantam_*.deb"))])
        with root.mounted(), background("Xvfb", DISPLAY, "-screen", "0", f"{LARGE}x24"):
            test_is_bare(root)
            test_terminal(root)
            test_window(root, options.pictures)
            test_quantize(root, PROJECT / "build/bundle/hub", options.hub_python)
            test_large_text(root, options.pictures)
            test_wayland(root, options.pictures)
            test_without_torch(root)
            test_recipe(root, max(dist.glob("bantam-torch_*.deb")))
            unpacked = test_archive(root, max(dist.glob("bantam-[0-9]*.tar.gz")))
            test_archive_of_torch(root, max(dist.glob("bantam-torch-*.tar.gz")), unpacked)
            test_no_display(root)
            test_read_only(root)
            test_closed_data_folder(root)
            test_older_data(root)
            test_newer_data(root, options.pictures)
            test_removal(root)
    except SmokeError as error:
        print(error, file=sys.stderr)
        with contextlib.suppress(SmokeError):
            picture(options.pictures / "failed.png")
        return 1
    print(f"All of it works. Pictures: {options.pictures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
