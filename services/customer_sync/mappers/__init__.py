"""Between the wire and the domain: the request in, the answer out."""

from services.customer_sync.mappers.answer import to_wire_answer
from services.customer_sync.mappers.fingerprint import fingerprint_of
from services.customer_sync.mappers.party import to_domain_customer
from services.customer_sync.mappers.request import to_domain_command

__all__ = ["fingerprint_of", "to_domain_command", "to_domain_customer", "to_wire_answer"]
