"""``python -m services.xref [--port-file PATH]``."""

from __future__ import annotations

from libs.grpckit.server import main
from services.xref.server import start

if __name__ == "__main__":
    main(start)
