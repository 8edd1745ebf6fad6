"""Plans as text a domain expert can read: what golden tests compare and ``o2c plan`` prints. Pure.

References to objects that do not exist yet stand in angle brackets. Card, bank and password fields never appear in clear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from libs.brm.flist import Array
from libs.brm.text import mask
from libs.plan.model import Plan, Ref, Step, Yield, dependencies, waves

_INDENT: Final = "  "


def render_plan(plan: Plan) -> str:
    """The whole plan: claims, then each call in an order that respects the dependencies. Ends with a line break."""
    return "\n".join(_plan_lines(plan)) + "\n"


def render_flist(flist: Mapping[str, Any], indent: str = "") -> str:
    """One field per line, arrays with their element id: ``NAMEINFO[1]``; sensitive values masked."""
    return "\n".join(_flist_lines(mask(flist), indent))


def _plan_lines(plan: Plan) -> Iterator[str]:
    rounds = waves(plan)
    if plan.is_empty:
        yield f"{plan.system_id}: nothing to do"
    else:
        yield f"{plan.system_id}: {_count(len(plan.steps), 'call')} in {_count(len(rounds), 'wave')}"
    if plan.claims:
        yield ""
        yield "ids claimed (application-neutral)"
        for claim in plan.claims:
            yield f"{_INDENT}<{claim.name}> = {claim.table} {claim.crm_id}"
    if plan.moves:
        yield ""
        yield "objects that go by another id from now on"
        for move in plan.moves:
            yield f"{_INDENT}{move.common_id} = {move.table} {move.crm_id}"
    graph = dependencies(plan)
    for number, wave in enumerate(rounds, 1):
        yield ""
        yield f"wave {number}"
        for step in wave:
            yield from _step_lines(step, graph[step.key])


def _step_lines(step: Step, needs: frozenset[str]) -> Iterator[str]:
    yield ""
    yield f"{_INDENT}{step.title}"
    flags = f" flags {step.call.flags}" if step.call.flags else ""
    yield f"{_INDENT}{step.call.opcode}{flags}  [{step.key}]"
    if needs:
        yield f"{_INDENT}after {', '.join(sorted(needs))}"
    if step.line_ids:
        yield f"{_INDENT}for {', '.join(step.line_ids)}"
    yield from _flist_lines(mask(step.call.input), _INDENT * 2)
    for output in step.yields:
        yield f"{_INDENT * 2}=> {_yield_text(output)}"
        for link in output.inside:
            yield f"{_INDENT * 2}=> <{output.name}> {link.slot}, kept in {link.table} {link.crm_id}"
    for each in step.gone:
        row = " with its row" if each.whole else ""
        yield f"{_INDENT * 2}=> {each.table} {each.crm_id} ends{row}"


def _yield_text(output: Yield) -> str:
    link = output.link
    if link is None:
        return f"<{output.name}> from {output.path}"
    kind = f" as {link.kind}" if link.kind else ""
    verb = "replacing the one" if link.moves else "kept"
    return f"<{output.name}> from {output.path}, {verb} in {link.table} {link.crm_id}{kind}"


def _flist_lines(flist: Mapping[str, Any], indent: str) -> Iterator[str]:
    scalars = [name for name, value in flist.items() if not isinstance(value, Mapping)]
    width = max((len(name) for name in scalars), default=0)
    for name, value in flist.items():
        if isinstance(value, Array):
            for element, body in value.items():
                yield f"{indent}{name}[{element}]"
                if body:
                    yield from _flist_lines(body, indent + _INDENT)
        elif isinstance(value, Mapping):
            yield f"{indent}{name}"
            yield from _flist_lines(value, indent + _INDENT)
        else:
            yield f"{indent}{name:<{width}}  {_shown(value)}".rstrip()


def _shown(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, Ref):
        return str(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return f'"{value}"' if isinstance(value, str) else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
