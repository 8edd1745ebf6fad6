"""Puts the service together: settings, database, handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from libs.config import BillingSystem
from libs.db import Database
from libs.xref.tables import standard_tables
from services.xref.answers import purge_answers
from services.xref.config import Settings
from services.xref.handlers import XrefHandlers
from services.xref.persistence import XrefRepository
from services.xref.registry import Registry
from services.xref.rowids import RowIds
from services.xref.schema import MODELS

SERVICE_NAME = "o2c.xref.v1.XrefService"


@asynccontextmanager
async def build(settings: Settings, billing_systems: Sequence[BillingSystem]) -> AsyncIterator[XrefHandlers]:
    """The handlers over an open database, with the standard tables registered; closed when left."""
    db = await Database.open(settings.database_url)
    try:
        await db.create_tables(MODELS)
        registry = Registry(db)
        await registry.load()
        if settings.standard_tables:
            codes = [system.code for system in billing_systems if system.kind == "BRM"]
            await registry.register(standard_tables(codes, settings.crm_systems))
        await purge_answers(db, settings.answer_days)
        yield XrefHandlers(XrefRepository(db, registry, RowIds(db)), registry)
    finally:
        await db.close()
