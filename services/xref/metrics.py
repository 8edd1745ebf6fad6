"""What the service counts besides what the kit counts for every RPC."""

from __future__ import annotations

from libs.metrics import Counter

_CELLS_WRITTEN = Counter("o2c_xref_cells_written", "Cells written, by operation: add, replace or remove.", ["operation"])
CELLS_ADDED = _CELLS_WRITTEN.labels("add")
CELLS_REPLACED = _CELLS_WRITTEN.labels("replace")
CELLS_REMOVED = _CELLS_WRITTEN.labels("remove")
RACES_LOST = Counter("o2c_xref_races_lost", "Times another writer came first and a call was decided again.")
COMMON_IDS_CREATED = Counter("o2c_xref_common_ids_created", "COMMON ids made by GetOrCreate and BatchGetOrCreate.")
ROUTING_TABLES_REFUSED = Counter("o2c_xref_routing_tables_refused", "Changed routing files that were wrong and not taken over.")
