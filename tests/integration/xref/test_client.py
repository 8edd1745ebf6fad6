"""What callers see when the service is away or fails."""

from __future__ import annotations

import socket

import pytest

from libs.errors import O2CError, Reason
from libs.grpckit.channel import open_channel
from libs.xref.client import GrpcXref, XrefKey, XrefWrite

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
