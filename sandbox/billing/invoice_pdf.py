"""The invoice as PDF: the same facts as the text and the web page, on paper. The same facts give the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import KeepTogether, ListFlowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from libs.brm.flist import Flist

_WIDTHS: Final = (130 * mm, 40 * mm)
_EDGE: Final = 20 * mm + 6
"""Where text begins: the margin, and the padding of the page's frame."""
_GREY: Final = colors.HexColor("#666666")
_RULED: Final = TableStyle(
    [
        ("ALIGN", (1, 0), (1, -1), "RIGHT"),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("RIGHTPADDING", (1, 0), (1, -1), 0),
        ("LINEABOVE", (0, -1), (-1, -1), 0.5, colors.black),
        ("FONTNAME", (0, -1), (-1, -1), "Helvetica-Bold"),
    ]
)
"""Amounts to the right, a rule above the last row, which is the sum."""


def render_pdf(facts: Flist) -> bytes:
    """One A4 document of as many pages as it takes. Letters the built-in fonts lack are shown as question marks."""
    buffer = BytesIO()
    bill, day = facts["bill"], facts["day"]
    number = str(bill["BILL_NO"])
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=20 * mm,
        bottomMargin=22 * mm,
        title=f"Invoice {number}",
        author="o2c sandbox",
        invariant=1,
        pageCompression=1,
    )
    footer = _footer(number)
    document.build(_story(facts, bill, day), onFirstPage=footer, onLaterPages=footer)
    return buffer.getvalue()


def _story(facts: Flist, bill: Flist, day: Callable[[datetime], str]) -> list[Any]:
    styles = getSampleStyleSheet()
    normal, title, heading = styles["Normal"], styles["Title"], styles["Heading3"]
    title.alignment = 0
    heading.keepWithNext = 1
    who = f"{facts['contact']}, account {facts['account']['ACCOUNT_NO']}"
    when = f"{day(bill['START_T'])} to {day(bill['END_T'])}, due {day(bill['DUE_T'])}"
    story: list[Any] = [
        Paragraph(_text(f"Invoice {bill['BILL_NO']}"), title),
        Paragraph(_text(who), normal),
        Paragraph(_text(when), normal),
        Spacer(1, 4 * mm),
    ]
    if facts["promotions"]:
        promotions = [Paragraph(_text(f"Promotion: {name}"), normal) for name in facts["promotions"]]
        story.append(ListFlowable(promotions, bulletType="bullet", start="•"))
    for section in facts["sections"]:
        lines = [(line.text, line.amount) for line in section.lines]
        table = _table([*lines, ("Total", section.total)], normal)
        story += [Paragraph(_text(section.title), heading), table]
    summary = _table(facts["totals"], normal)
    story += [Spacer(1, 4 * mm), KeepTogether([Paragraph("Summary", heading), summary])]
    return story


def _table(rows: list[tuple[str, Decimal]], style: Any) -> Table:
    cells = [[Paragraph(_text(text), style), f"{amount:,.2f}"] for text, amount in rows[:-1]]
    (text, amount) = rows[-1]
    cells.append([_encodable(text), f"{amount:,.2f}"])
    return Table(cells, colWidths=_WIDTHS, style=_RULED, hAlign="LEFT")


def _footer(number: str) -> Callable[[Canvas, Any], None]:
    def draw(canvas: Canvas, _: Any) -> None:
        canvas.saveState()
        canvas.setFont("Helvetica", 8)
        canvas.setFillColor(_GREY)
        canvas.drawString(_EDGE, 12 * mm, f"Invoice {number}")
        canvas.drawRightString(A4[0] - _EDGE, 12 * mm, f"Page {canvas.getPageNumber()}")
        canvas.restoreState()

    return draw


def _encodable(text: str) -> str:
    """Text in the letters the built-in fonts have (Western European); others become question marks."""
    return text.encode("cp1252", "replace").decode("cp1252")


def _text(text: str) -> str:
    """Plain text for a paragraph, whose markup it must not be taken for."""
    return escape(_encodable(text))
