"""How commands speak: tables and trees for people, JSON with ``--json``, errors by name on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from libs.errors import O2CError, Reason, Violation
from libs.grpckit.status import from_rpc_error

_INDEX = re.compile(r"\[\d+\]")
_BETWEEN = 2
"""Blanks between columns of a table."""
PIPE_WIDTH = 120
"""Columns of tables that nobody sees on a terminal; ``COLUMNS`` in the environment says otherwise."""


def console_width() -> int | None:
    """The width to lay out for; ``None`` leaves it to the terminal."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH


out = Console(highlight=False, soft_wrap=True, width=console_width())
err = Console(stderr=True, highlight=False, soft_wrap=True)

Typed = Mapping[str, str]
"""What people typed, by the field it went into: ``{"page_size": "--page-size", "keys[].ref_value": "VALUES"}``."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def to_dict(message: Message) -> dict[str, Any]:
    """A message as JSON-ready data, with the contract's own field names."""
    return MessageToDict(message, preserving_proto_field_name=True)


def print_json(document: Any, *, one_line: bool = False) -> None:
    """JSON on stdout; ``one_line`` for streams, of which every line is a document."""
    sys.stdout.write(json.dumps(document, indent=None if one_line else 2, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def show(message: Message, as_json: bool, render: Callable[[], None], *, one_line: bool = False) -> None:
    """Print ``message`` as JSON, or whatever ``render`` prints."""
    if as_json:
        print_json(to_dict(message), one_line=one_line)
    else:
        render()


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = (), flowing: Sequence[str] = ()
) -> Table:
    """A table. Columns named in ``right`` are right-aligned; only those in ``flowing`` may wrap, between words.

    Where the terminal is too narrow even so, the widest columns fold: nothing is cut off.
    """
    result = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False, padding=(0, 1)
    )
    fits = _width(columns, rows, flowing) <= out.width
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        result.add_column(column, justify=justify, overflow="fold", no_wrap=fits and column not in flowing)
    for row in rows:
        result.add_row(*(str(cell) for cell in row))
    return result


def _width(columns: Sequence[str], rows: Sequence[Sequence[Any]], flowing: Sequence[str]) -> int:
    """Columns of the terminal that a table needs; those that may wrap need their longest word."""
    total = -_BETWEEN
    for at, column in enumerate(columns):
        cells = [column, *(Text.from_markup(str(row[at])).plain for row in rows)]
        lines = [part for cell in cells for part in (cell.split() if column in flowing else cell.splitlines())]
        total += max(map(cell_len, lines), default=0) + _BETWEEN
    return total


def short_poid(poid: str) -> str:
    """A POID where the BRM instance is plain: ``/service/telco/gsm 10026``; other text as it is."""
    parts = poid.split()
    return f"{parts[1]} {parts[2]}" if len(parts) >= 3 and parts[1].startswith("/") else poid


def amount(money: Money) -> Decimal:
    """The exact amount of a contract Money."""
    return Decimal(money.units) + Decimal(money.nanos).scaleb(-9)


def money(value: Money) -> str:
    return f"{amount(value):,.2f} {value.currency_code}".strip()


def job_text(report: Mapping[str, Any]) -> str:
    """What a batch job of the sandbox says it did."""
    return f"{report.get('done', 0)} of {report.get('units', 0)} done, {report.get('failed', 0)} failed"


@contextmanager
def errors_by_name(typed: Typed = MappingProxyType({})) -> Iterator[None]:
    """Turn refusals into lines ``REASON field: message`` on stderr and exit code 1.

    A field that the person gave as an argument or option is called so; others keep their path in the request.
    """
    try:
        yield
    except grpc.RpcError as error:
        print_error(from_rpc_error(error), typed)
        raise typer.Exit(1) from error
    except O2CError as error:
        print_error(error, typed)
        raise typer.Exit(1) from error
    except UnicodeDecodeError as error:  # text of a file that is being read; messages are decoded by their libraries
        message = f"the file is not UTF-8 at byte {error.start + 1}"
        print_error(O2CError.of(Reason.JSON_MALFORMED, message, field="file", line=""))
        raise typer.Exit(1) from error


def print_error(error: O2CError, typed: Typed = MappingProxyType({})) -> None:
    for violation in (as_typed(each, typed) for each in error.violations):
        where = f" [cyan]{escape(violation.field)}[/cyan]" if violation.field else ""
        err.print(f"[bold red]{violation.reason}[/bold red]{where}: {escape(violation.message)}{where_to_look(violation)}")


def as_typed(violation: Violation, typed: Typed) -> Violation:
    """The violation with its field as the person called it, in the message, too, where it opens with the field."""
    name = typed.get(_INDEX.sub("[]", violation.field))
    if name is None:
        return violation
    message = violation.message
    if message.startswith(f"{violation.field} "):
        message = name + message.removeprefix(violation.field)
    return replace(violation, field=name, message=message)


def where_to_look(violation: Violation) -> str:
    """The request id of what was not to happen, by which the service's log has it; refusals say all there is themselves."""
    request_id = violation.metadata.get("request_id")
    return f" (request id {request_id})" if request_id and violation.code == "INTERNAL" else ""
