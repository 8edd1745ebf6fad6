"""``python -m services.bill_fulfillment [--port-file PATH]``."""

from __future__ import annotations

from libs.grpckit.server import main
from services.bill_fulfillment.server import start

if __name__ == "__main__":
    main(start)
