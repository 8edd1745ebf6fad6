"""What orchestration keeps: tables, their JSON columns, and the one class that reads and writes them."""

from services.order_orchestration.persistence.store import LoadedOrder, NewOrder, OrderStore, StaleOrder
from services.order_orchestration.persistence.tables import TABLES

__all__ = ["TABLES", "LoadedOrder", "NewOrder", "OrderStore", "StaleOrder"]
