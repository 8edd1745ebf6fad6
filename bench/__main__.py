"""``python -m bench [PART …]``: measure. Without names: the parts of :data:`DEFAULT`."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

PARTS = {
    "rpc": "what the kit and a lookup cost per RPC, and batches against SQL",
    "brm": "the BRM connector beside a bare HTTP loop, and the sandbox's own speed",
    "flows": "BRM calls, RPCs and commits of the example orders, beside the least",
    "orders": "orders of 10, 100 and 1,000 lines through the whole suite",
    "customers": "orders of 10, 100 and 1,000 new accounts, beside the same BRM calls sent bare",
    "xref_size": "lookups in 10 thousand and 5 million rows, memory in long streams (two minutes, 3 GB of disk)",
    "memory": "what a sandbox instance takes at 100,000 objects (a minute)",
    "xref_tables": "a million cross-reference rows in and out, and the doctor over them (six minutes)",
    "engine": "kill -9 of one of two orchestration pods on PostgreSQL (half a minute)",
}
DEFAULT = ("rpc", "brm", "flows", "orders", "customers")


def main() -> None:
    """Command line."""
    text = "\n".join(f"  {name:<12}{what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=f"Measure.\n\n{text}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"one of {', '.join(PARTS)}")
    for part in parser.parse_args().parts or DEFAULT:
        if part == "engine":
            subprocess.run([sys.executable, "-m", "bench.engine_takeover"], check=True)
        else:
            importlib.import_module(f"bench.{part}").run()


if __name__ == "__main__":
    main()
