"""XML as opcode calls use it (specification 2.4, rules M1 to M13): untrusted documents in, character data out.

:mod:`libs.brm.xml_writer` writes flists, :mod:`libs.brm.xml_reader` reads them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from lxml import etree

EXTRA: Final = "extra"
"""Key under which a leniently read flist keeps elements nobody knows."""
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_DEPTH: Final = 32
MAX_EXPONENT: Final = 60
"""Power of ten beyond which a number is no amount."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""How flists write a time that never comes."""

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile("[&<>\r]")
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_IS_UTF8 = re.compile(rb"""<(?:\?xml version=["']1\.0["'] encoding=["'](?:UTF|utf)-8["']|[A-Za-z])""")
# One for all documents: it keeps nothing between them, and making one costs as much as parsing a small document.
_PARSER: Final = etree.XMLParser(
    resolve_entities=False,
    load_dtd=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
    collect_ids=False,
)


class CodecError(ValueError):
    """XML or an flist that cannot be translated; ``path`` says where (``BILLINFO[0].POID``, empty at the root)."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path

    def within(self, step: str) -> CodecError:
        """The same error seen from one level further out."""
        return CodecError(self.message, f"{step}.{self.path}" if self.path else step)


def escape(text: str) -> str:
    """``text`` as character data; raises :class:`CodecError` for a character XML 1.0 cannot carry."""
    if text.isascii() and text.isprintable() and not ("&" in text or "<" in text or ">" in text):
        return text  # nearly always, and without regular expressions
    bad = _ILLEGAL.search(text)
    if bad:
        raise CodecError(f"character U+{ord(bad[0]):04X} is not allowed in XML")
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def parse(body: bytes, max_bytes: int = MAX_BYTES) -> Any:
    """The root element of an untrusted document. No DTD, no entities, no network; raises :class:`CodecError`."""
    if len(body) > max_bytes:
        raise CodecError(f"document of {len(body)} bytes is larger than {max_bytes}")
    if b"<!DOCTYPE" in body:
        raise CodecError("document type declarations are not accepted")
    try:
        root = etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError as error:
        raise CodecError(f"not well-formed XML: {error}") from error
    # In UTF-8 the look at the bytes was enough; other encodings may spell the declaration in other bytes.
    if not _IS_UTF8.match(body) and root.getroottree().docinfo.internalDTD is not None:
        raise CodecError("document type declarations are not accepted")
    return root


def local_name(element: Any) -> str:
    """Tag without namespace."""
    return str(element.tag).rpartition("}")[2]
