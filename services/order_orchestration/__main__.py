"""``python -m services.order_orchestration [--port-file PATH]``."""

from __future__ import annotations

from libs.grpckit.server import main
from services.order_orchestration.server import start

if __name__ == "__main__":
    main(start)
