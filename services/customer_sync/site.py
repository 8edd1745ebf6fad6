"""What the site decides, as it stands now: the billing systems with their policies, and the value maps in force."""

from __future__ import annotations

from libs.dvm.client import KnownMaps
from libs.xref.follow import Followed
from services.customer_sync.domain.targets import Targets


class Site:
    """The targets of requests. Value maps are those of the cross-reference service, where administrators edit them; a
    deployment that brings a file of its own goes by that alone."""

    def __init__(self, targets: Targets, maps: Followed[KnownMaps] | None = None) -> None:
        """``maps``: ``None`` leaves the policies the maps they have."""
        self._targets = targets
        self._maps = maps
        self._known: KnownMaps | None = None

    async def targets(self) -> Targets:
        """The targets with the maps as they are now. A request works with them to its end, so an edit made meanwhile does not
        touch it (xref-and-routing Q16). Raises XREF_UNAVAILABLE while the maps could never be asked for."""
        if self._maps is not None:
            known = await self._maps.current()
            if known is not self._known:
                self._targets, self._known = self._targets.with_maps(known.maps), known
        return self._targets
