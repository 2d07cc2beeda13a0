"""Serve a folder of repositories by hand: `python -m tests.hub_server DIR`, where DIR holds owner/name/files."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from tests.hub_server import Fault, HubServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hub_server", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--port", type=int, default=8123, help="of the hub; the second origin takes the next one")
    parser.add_argument("--repositories", type=int, default=0, metavar="N", help="made-up ones beside those of DIR")
    names = ", ".join(fault.value for fault in Fault)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", type=Fault, help=f"always: {names}")
    parser.add_argument("--gate", action="append", default=[], metavar="ID", help="needs the token hf_secret")
    options = parser.parse_args()
    with HubServer(options.folder, port=options.port, extra_repositories=options.repositories) as hub:
        for fault in options.fault:
            hub.add_fault(fault, times=-1)
        for repository in options.gate:
            hub.gate(repository)
        print(f"HF_ENDPOINT={hub.endpoint} .venv/bin/bantam", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
