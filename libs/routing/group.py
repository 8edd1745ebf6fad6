"""Lines decided together: the candidates left and the evidence weighed so far; and what it is called when none is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from libs.errors import O2CError, Reason, Violation
from libs.routing.evidence import hard_evidence
from libs.routing.model import Evidence, Rank, RoutableLine, RouteDecision, RoutingFacts, RoutingPolicy, Step

_STRENGTH = {rank: at for at, rank in enumerate(Rank)}


class Group:
    """A service bundle, or a line on its own. Lines stand in the order of their positions."""

    __slots__ = ("before", "candidates", "decided_by", "lines", "steps", "weighed")

    def __init__(self, lines: Sequence[RoutableLine], candidates: frozenset[str]) -> None:
        self.lines = lines
        self.candidates = candidates
        self.before = candidates
        self.decided_by = ""
        self.steps: list[Step] = []
        self.weighed: list[Evidence] = []

    def weigh(self, evidence: Evidence) -> None:
        """Keep the candidates the evidence allows; remember what brought them down to one."""
        left = self.candidates & evidence.systems
        if len(left) == 1 and not self.decided_by:
            self.decided_by, self.before = str(evidence), self.candidates
        self.candidates = left
        self._note(evidence, counted=True)

    def consider(self, evidence: Evidence) -> bool:
        """Soft evidence: it chooses when exactly one candidate is left by it; else it is only noted."""
        if len(evidence.systems & self.candidates) == 1:
            self.weigh(evidence)
            return True
        if evidence not in self.weighed:
            self._note(evidence, counted=False)
        return False

    def _note(self, evidence: Evidence, *, counted: bool) -> None:
        self.weighed.append(evidence)
        systems, left = tuple(sorted(evidence.systems)), tuple(sorted(self.candidates))
        self.steps.append(Step(str(evidence.rank), evidence.text, systems, left, counted))

    def narrow(self, facts: RoutingFacts, policy: RoutingPolicy) -> None:
        """Apply the hard evidence. Raises when it leaves nothing."""
        for evidence in hard_evidence(self.lines, facts, policy):
            before = self.candidates
            if evidence.rank is Rank.RECORDED and not self.weighed:
                self.candidates = evidence.systems  # kept even where the site has changed since
            self.weigh(evidence)
            if not self.candidates:
                self.candidates = before
                raise O2CError(self._contradiction(evidence, policy.enabled))
            if evidence.rank is Rank.RECORDED and not self.decided_by:
                self.decided_by = str(evidence)
        if not self.candidates:
            raise O2CError(Violation(Reason.ROUTE_NOT_FOUND, "no BRM instance is enabled", "", self.metadata()))
        if not self.decided_by and len(self.candidates) == 1:
            self.decided_by = f"{next(iter(self.candidates))} is the only enabled BRM instance"

    def metadata(self) -> dict[str, str]:
        """What errors about the group carry."""
        return {
            "line_ids": ",".join(line.line_id for line in self.lines),
            "candidates": ",".join(sorted(self.candidates)),
            "evidence": "; ".join(map(str, self.weighed)),
        }

    def _contradiction(self, evidence: Evidence, enabled: frozenset[str]) -> Violation:
        """Which error it is that ``evidence`` leaves no candidate."""
        line = next(line for line in self.lines if line.line_id == evidence.line_id)
        earlier = self.weighed[:-1]
        said = "; ".join(map(str, earlier)) or f"enabled are {', '.join(sorted(enabled)) or 'none'}"
        message = f"line {line.line_id}: {evidence}, but {said}"
        meta = self.metadata()
        if not earlier:
            return Violation(Reason.ROUTE_NOT_FOUND, message, field(line, "target_system_id"), meta)
        if self._lines_disagree(evidence, earlier, enabled):
            return Violation(Reason.ROUTE_BUNDLE_CONFLICT, message, field(line, "target_system_id"), meta)
        if evidence.rank is Rank.ASSET:
            return Violation(Reason.ROUTE_ASSET_CONFLICT, message, field(line, "target_system_id"), meta)
        if evidence.rank is Rank.PROFILE:
            return Violation(Reason.ROUTE_PROFILE_CONFLICT, message, field(line, "billing_profile.billing_profile_id"), meta)
        details = {"kind": "product", "id": line.product_id, "system": meta["candidates"]}
        return Violation(Reason.PRODUCT_NOT_IN_BILLING, message, field(line, "product.product_id"), meta | details)

    def _lines_disagree(self, evidence: Evidence, earlier: Sequence[Evidence], enabled: frozenset[str]) -> bool:
        """Whether it is another line's evidence of the same kind that contradicts, not stronger evidence (rule Q20)."""
        stronger = [one for one in earlier if _STRENGTH[one.rank] < _STRENGTH[evidence.rank]]
        allowed = enabled.intersection(*(one.systems for one in stronger)) if stronger else enabled
        others = any(one.rank is evidence.rank and one.line_id != evidence.line_id for one in earlier)
        return others and (evidence.rank is Rank.RECORDED or bool(evidence.systems & allowed))

    def ambiguous(self) -> Violation:
        """ROUTE_AMBIGUOUS: several candidates and nothing that chooses."""
        names = ", ".join(sorted(self.candidates))
        first = self.lines[0]
        message = f"{named(self.lines)} could go to {names}; stamp target_system_id, or configure a routing rule or default"
        return Violation(Reason.ROUTE_AMBIGUOUS, message, field(first, "target_system_id"), self.metadata())

    def decisions(self) -> dict[str, RouteDecision]:
        """The decision, once per line."""
        systems, candidates = tuple(sorted(self.candidates)), tuple(sorted(self.before))
        evidence, steps = tuple(map(str, self.weighed)), tuple(self.steps)
        return {
            line.line_id: RouteDecision(line.line_id, systems, self.decided_by, candidates, evidence, steps)
            for line in self.lines
        }


def field(line: RoutableLine, name: str) -> str:
    """Path of a field of the line."""
    return f"order.lines[{line.position}].{name}"


def named(lines: Sequence[RoutableLine], verb: str = "") -> str:
    """Lines of one bundle in a sentence, the first by its id, the others by their number: ``line 1 and 2 more of its bundle``.

    ``verb``: ``is``, which becomes ``are`` for several.
    """
    more = len(lines) - 1
    subject = f"line {lines[0].line_id}" + (f" and {more} more of its bundle" if more else "")
    return f"{subject} {'are' if more and verb == 'is' else verb}".rstrip()


def together(lines: Iterable[RoutableLine]) -> list[list[RoutableLine]]:
    """Lines by the bundle they are decided with, so that what is wrong with all of them is said once."""
    found: dict[str, list[RoutableLine]] = {}
    for line in lines:
        found.setdefault(line.group or line.line_id, []).append(line)
    return list(found.values())


def stamp_violations(lines: Iterable[RoutableLine], policy: RoutingPolicy) -> Iterator[Violation]:
    """Stamps of the lines of a bundle, or of a line on its own, that name no usable instance; once per stamp. A line in
    fulfilment has its place already."""
    stamped: dict[str, list[RoutableLine]] = {}
    for line in lines:
        if line.target and not line.recorded:
            stamped.setdefault(line.target, []).append(line)
    for target, users in stamped.items():
        instance = next((one for one in policy.instances if one.code == target), None)
        where, meta = (
            field(users[0], "target_system_id"),
            {"line_ids": ",".join(line.line_id for line in users), "system": target},
        )
        if instance is None:
            known = ", ".join(sorted(one.code for one in policy.instances)) or "none"
            message = f"{named(users, 'is')} stamped {target}, which is not a BRM instance; known: {known}"
            yield Violation(Reason.ROUTE_SYSTEM_UNKNOWN, message, where, meta)
        elif not instance.enabled:
            message = f"{named(users, 'is')} stamped {target}, which is disabled"
            yield Violation(Reason.ROUTE_SYSTEM_DISABLED, message, where, meta)


def product_violations(line: RoutableLine, facts: RoutingFacts) -> Iterator[Violation]:
    """A product that billing must know and no instance does."""
    if line.product_required and not line.recorded and not facts.products.get(line.product_id):
        message = f"product {line.product_id or '(none)'} of line {line.line_id} is known in no BRM instance"
        meta = {"line_ids": line.line_id, "candidates": "", "evidence": ""}
        yield Violation(Reason.ROUTE_PRODUCT_NOT_SYNCED, message, field(line, "product.product_id"), meta)
