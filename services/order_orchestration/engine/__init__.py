"""What wakes orders up: priority, delay, one pass per order at a time, takeover from a dead pod. One port, two engines."""

from services.order_orchestration.engine.in_process import InProcessEngine
from services.order_orchestration.engine.port import Advance, Due, Engine

__all__ = ["Advance", "Due", "Engine", "InProcessEngine"]
