"""One opcode call as a value: what to ask of BRM, not the asking."""

from __future__ import annotations

from dataclasses import dataclass

from libs.brm.flist import Flist


@dataclass(frozen=True, slots=True)
class BrmCall:
    """An opcode and its input flist. Pure data: build one with :mod:`libs.brm.calls`, send it with a gateway."""

    opcode: str
    """Full opcode name, ``PCM_OP_CUST_COMMIT_CUSTOMER``."""
    input: Flist
    flags: int = 0
    """Opcode flags, 0 unless the opcode documents some (128 = calculate only on PURCHASE_DEAL)."""

    def __repr__(self) -> str:
        """Like a dataclass's, with card numbers and the like masked: calls end up in traces and test reports."""
        from libs.brm.text import mask  # the printer knows all fields, a call need not

        return f"BrmCall(opcode={self.opcode!r}, input={mask(self.input)!r}, flags={self.flags})"
