"""Error buffers: how BRM says what went wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EBuf:
    """One error buffer. Decide by :attr:`error` first and :attr:`errclass` second; numbers vary between releases."""

    error: str = ""
    """Error name, ``PIN_ERR_DUPLICATE``; empty when the fault named none."""
    errclass: str = ""
    """``PIN_ERRCLASS_APPLICATION``, ``…_SYSTEM_DETERMINATE``, ``…_SYSTEM_INDETERMINATE``, ``…_SYSTEM_RETRYABLE`` or empty."""
    location: str = ""
    """Component that failed, ``PIN_ERRLOC_FM``."""
    field: str = ""
    """Offending field, ``PIN_FLD_ACCOUNT_NO``."""
    opcode: str = ""
    descr: str = ""
    rec_id: int = 0
    """Element id of the offending array entry."""
    reserved: int = 0
    facility: int = 0
    msg_id: int = 0
    time_sec: int = 0
    time_usec: int = 0
    error_number: int = 0
    errclass_number: int = 0
    location_number: int = 0
    field_type: int = 0
    field_number: int = 0
    chain: tuple[EBuf, ...] = ()
    """The buffers behind this one (``next``), the nearest first: what led to the error. They decide nothing."""

    @property
    def name(self) -> str:
        """The error without its prefix: ``DUPLICATE``."""
        return self.error.removeprefix("PIN_ERR_")

    @property
    def field_name(self) -> str:
        """The field without its prefix: ``ACCOUNT_NO``."""
        return self.field.removeprefix("PIN_FLD_")

    @property
    def class_name(self) -> str:
        """The class without its prefix: ``APPLICATION``."""
        return self.errclass.removeprefix("PIN_ERRCLASS_")

    @property
    def words(self) -> str:
        """What a person reads of it: ``BAD_VALUE at DEAL_OBJ: no such deal``."""
        return f"{self.name}{self.place}{f': {self.descr}' if self.descr else ''}"

    @property
    def place(self) -> str:
        """`` at DEAL_OBJ``; empty when no field is to blame."""
        return f" at {self.field_name}" if self.field_name and self.field_name != "0" else ""

    def __str__(self) -> str:
        """The line BRM's test tool prints."""
        return (
            f"{self.opcode or 'opcode'} failed: err {self.error_number}:{self.error or 'PIN_ERR_NONE'},"
            f" field {self.field_type}/{self.field_number}:{self.field or '0'},"
            f" loc {self.location_number}:{self.location or 'PIN_ERRLOC_NONE'},"
            f" errclass {self.errclass_number}:{self.errclass or 'PIN_ERRCLASS_NONE'},"
            f" rec_id {self.rec_id}, resvd {self.reserved}"
        )


class SoapFault(Exception):
    """A SOAP fault came back instead of an output flist."""

    def __init__(self, code: str, text: str, ebuf: EBuf) -> None:
        super().__init__(text or code)
        self.code = code
        """Local part of the fault code: ``Server``, ``Client`` (``Receiver``, ``Sender`` in SOAP 1.2)."""
        self.text = text
        self.ebuf = ebuf

    @property
    def is_client(self) -> bool:
        """The front end refused the request itself: validation, unknown operation, bad token. Nothing was executed."""
        return self.code in ("Client", "Sender")
