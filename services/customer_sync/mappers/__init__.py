"""Between the wire and the domain: the request in, the answer out, and the record of both."""

from services.customer_sync.mappers.answer import to_wire_answer
from services.customer_sync.mappers.customer_view import to_wire_customer
from services.customer_sync.mappers.party import to_domain_customer
from services.customer_sync.mappers.records import (
    Asked,
    to_asked_list,
    to_asked_order,
    to_asked_update,
    to_domain_errors,
    to_domain_selection,
    to_record,
    to_refusal_record,
    to_replay,
    to_suppressed,
    to_wire_record,
)
from services.customer_sync.mappers.request import to_domain_command
from services.customer_sync.mappers.special_rating import to_domain_list, to_wire_lists
from services.customer_sync.mappers.update import to_domain_updates, to_wire_accepted, to_wire_pending, to_wire_updates

__all__ = [
    "Asked",
    "to_asked_list",
    "to_asked_order",
    "to_asked_update",
    "to_domain_command",
    "to_domain_customer",
    "to_domain_errors",
    "to_domain_list",
    "to_domain_selection",
    "to_domain_updates",
    "to_record",
    "to_refusal_record",
    "to_replay",
    "to_suppressed",
    "to_wire_accepted",
    "to_wire_answer",
    "to_wire_customer",
    "to_wire_lists",
    "to_wire_pending",
    "to_wire_record",
    "to_wire_updates",
]
