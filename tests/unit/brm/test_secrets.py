"""What BRM says about a card or bank number must not carry the number on."""

from __future__ import annotations

from copy import deepcopy

import pytest

from libs.brm import calls
from libs.brm.attempts import AttemptFailed, output_of
from libs.brm.codec import Dialect, EBuf, encode_client_fault, encode_fault
from libs.brm.flist import Array
from libs.brm.poid import Poid
from libs.brm.text import mask
from libs.brm.transport import Reply

CARD = calls.CardPayInfo(number="4111111111111111", security_code="987", expiry="0130", name="Denise")
CALL = calls.create_billinfo(Poid("0.0.0.1", "/account", 10_000), calls.BillUnit(billinfo_id="BP", payinfo=CARD))
QUOTED = "cvc-pattern-valid: value '4111111111111111' (0130, 987) is not facet-valid"


@pytest.mark.parametrize(
    "body",
    [
        encode_client_fault(QUOTED, Dialect()),
        encode_fault(EBuf(error="PIN_ERR_BAD_VALUE", field="PIN_FLD_DEBIT_NUM", descr=QUOTED), Dialect()),
        encode_client_fault(f"PIN_ERR_BAD_VALUE in {QUOTED}", Dialect()),
        encode_client_fault(f"err 43:PIN_ERR_STORAGE, err 46:PIN_ERR_BAD_VALUE in {QUOTED}", Dialect()),
    ],
    ids=["validation by the front end", "error buffer", "error name in the text", "an error behind the error"],
)
def test_a_refusal_that_quotes_the_card_number_is_told_without_it(body: bytes) -> None:
    with pytest.raises(AttemptFailed) as caught:
        output_of(Reply(500, body), CALL, Dialect(), "BRM_01")
    told = f"{caught.value.final(is_read=False)} {caught.value.error.ebuf!r} {caught.value.__cause__!r}"
    assert "****" in told
    for secret in ("4111111111111111", "0130", "987"):
        assert secret not in told


def test_flists_in_a_list_are_masked_like_any_other() -> None:
    masked = str(mask([CARD.flist("0.0.0.1"), ({"SECURITY_ID": "987"}, "text")]))
    assert "****1111" in masked and "text" in masked
    for secret in ("4111111111111111", "0130", "987"):
        assert secret not in masked


def test_masking_leaves_what_it_is_given_as_it_was() -> None:
    flist = {"NAME": "Ann", "PAYINFO": Array.of({"CC_INFO": Array.of({"SECURITY_ID": "987"})}, {"NAME": "plain"})}
    before = deepcopy(flist)
    masked = mask(flist)
    assert flist == before
    assert masked == {"NAME": "Ann", "PAYINFO": Array.of({"CC_INFO": Array.of({"SECURITY_ID": "****"})}, {"NAME": "plain"})}
    assert list(masked) == list(flist) and type(masked["PAYINFO"]) is Array


def test_a_card_shows_none_of_its_numbers() -> None:
    for secret in ("4111111111111111", "0130", "987"):
        assert secret not in repr(CARD) + repr(CALL)
