"""``python -m services.billing_care [--port-file PATH]``."""

from __future__ import annotations

from libs.grpckit.server import main
from services.billing_care.server import start

if __name__ == "__main__":
    main(start)
