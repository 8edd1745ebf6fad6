"""Domain value maps: translate coded values between the CRM, the suite and the billing instances.

The maps are data: delivered as TOML in this folder, kept and edited in the xref service
(:mod:`libs.dvm.client` follows it), exchanged as files in AIA's shape (:mod:`libs.dvm.aia`). Nothing here knows what a code
means.
"""

from libs.dvm.maps import ValueMaps, standard_maps
from libs.dvm.model import COMMON, ValueMap, as_number, unmapped
from libs.dvm.rules import catalogue_violations, map_violations

__all__ = [
    "COMMON",
    "ValueMap",
    "ValueMaps",
    "as_number",
    "catalogue_violations",
    "map_violations",
    "standard_maps",
    "unmapped",
]
