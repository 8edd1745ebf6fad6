"""What callers see when the service is away or fails, and what it is told of them."""

from __future__ import annotations

import socket

import pytest

from libs.config import BillingSystem, local_settings
from libs.errors import O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.xref.client import GrpcXref, Origin, XrefDelete, XrefKey, XrefWrite
from services.xref.config import Settings
from services.xref.server import running_xref

KEY = XrefKey("CUSTOMERPARTY_ACCOUNTID", "SEBL_01", "A1")


async def test_a_service_that_cannot_be_reached_is_xref_unavailable_and_worth_another_try() -> None:
    with socket.socket() as reserved:  # bound, so that nobody else listens there
        reserved.bind(("127.0.0.1", 0))
        async with open_channel(f"127.0.0.1:{reserved.getsockname()[1]}") as channel:
            xref = GrpcXref(channel)
            write = XrefWrite(KEY.table, KEY.ref_column, KEY.ref_value, "BRM_01", "p1")
            for call in (xref.lookup([KEY]), xref.get_or_create([KEY]), xref.populate([write])):
                with pytest.raises(O2CError) as caught:
                    await call
                assert caught.value.violations[0].reason is Reason.XREF_UNAVAILABLE
                assert caught.value.violations[0].metadata == {"system": "xref"}
                assert caught.value.retry_after is not None


async def test_every_change_says_who_made_it_and_what_for_in_words_that_always_fit() -> None:
    systems = (BillingSystem(code="BRM_01"),)
    async with running_xref(local_settings(Settings), systems) as address, open_channel(address) as channel:
        xref = GrpcXref(channel, Origin(service="customer_sync", reason="as usual"))
        await xref.get_or_create([KEY], origin=Origin(flow="F1", message_id="ORD-1"))
        link = XrefWrite(*KEY, "BRM_01", "p1")
        await xref.populate([link], Origin(flow="F2", message_id="an\nedit", reason="x" * 300))
        await xref.delete([XrefDelete(KEY.table, "BRM_01", "p1")])
        assert [change.origin for change in await xref.history(KEY)] == [
            *[Origin("customer_sync", "F1", "ORD-1", "as usual")] * 2,
            Origin("customer_sync", "F2", "an edit", "x" * 256),
            Origin("customer_sync", reason="as usual"),
        ]
