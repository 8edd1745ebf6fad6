"""``python -m services.customer_sync [--port-file PATH]``."""

from __future__ import annotations

from libs.grpckit.server import main
from services.customer_sync.server import start

if __name__ == "__main__":
    main(start)
