"""The SOAP front: bytes in, opcode call, bytes out (2.3, 2.4)."""

from __future__ import annotations

import asyncio
from typing import Literal

from aiohttp import web

from libs.brm.call import BrmCall
from libs.brm.codec import CodecError, decode_request, encode_client_fault, encode_fault, encode_response
from libs.brm.dialect import Dialect
from libs.brm.ebuf import EBuf
from libs.brm.flist import Array, Flist
from libs.brm.specs import OPCODES, Group, UnknownOpcode
from sandbox.chaos import Dropped, HalfReply, HttpFailure, Restarted
from sandbox.errors import CLASS_NUMBERS, LOCATIONS, NUMBERS, BrmFault
from sandbox.faults import FaultSpecError
from sandbox.http.strict import disorder
from sandbox.http.wsdl import served_opcodes, wsdl
from sandbox.instance import Instance

_XML = "text/xml"


class SoapFront:
    """Serves one instance's web services in one payload mode: flists as elements, or as text in one string parameter."""

    def __init__(self, instance: Instance, payload_mode: Literal["element", "string"] = "element") -> None:
        self._instance = instance
        self._dialect = Dialect(db_no=instance.db, payload_mode=payload_mode)
        self._transports: set[asyncio.Transport] = set()

    async def describe(self, request: web.Request) -> web.Response:
        """The WSDL of a service (``GET …?wsdl``); opcodes made unavailable by a fault rule are left out."""
        service = request.match_info["service"]
        if "wsdl" not in {name.lower() for name in request.query}:
            return web.Response(status=405, text="use POST, or ?wsdl")
        opcodes = [spec for spec in served_opcodes(service) if spec.name in self._instance.offered]
        if not opcodes:
            return web.Response(status=404, text=f"no service {service}")
        location = str(request.url.with_query(None))
        return web.Response(text=wsdl(service, opcodes, location, self._dialect), content_type=_XML)

    async def call(self, request: web.Request) -> web.StreamResponse:
        """One opcode call."""
        if (transport := request.transport) is None:
            return web.Response(status=500)
        self._transports.add(transport)
        try:
            return await self._call(request)
        finally:
            self._transports.discard(transport)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        service = request.match_info["service"]
        token = self._instance.settings.token
        if token and request.headers.get("Authorization") != f"Bearer {token}":
            return self._answer(encode_client_fault("the bearer token is missing or wrong", self._dialect), 401)
        try:
            call = decode_request(await request.read(), self._dialect)
        except web.HTTPRequestEntityTooLarge as error:
            return self._answer(encode_client_fault(error.text or "the request is too large", self._dialect), 500)
        except CodecError as error:
            return self._answer(self._unreadable(error), 500)
        if service != OPCODES[call.opcode].service:
            return self._answer(encode_client_fault(f"{call.opcode} is not an operation of {service}", self._dialect), 500)
        if self._instance.settings.strict_xsd and (problem := disorder(call.input, OPCODES[call.opcode].input)):
            return self._answer(encode_client_fault(problem, self._dialect), 500)
        try:
            output = await self._instance.serve(
                call,
                request.headers.get("X-Request-Id", ""),
                txn=request.headers.get("X-BRM-Txn", ""),
                fault=self._header_fault(request),
            )
        except BrmFault as fault:
            code = "Client" if fault.is_client else "Server"
            return self._answer(encode_fault(_ebuf(call.opcode, fault), self._dialect, code), 500)
        except FaultSpecError as error:
            return self._answer(encode_client_fault(str(error), self._dialect), 500)
        except Dropped:
            return _cut(request)
        except Restarted:
            self._hang_up()
            return _cut(request)
        except HttpFailure as failure:
            return web.Response(status=failure.status, text=failure.body, content_type=failure.content_type)
        except HalfReply as half:
            return await self._half(request, call, half.output)
        return self._answer(self._encoded(call, output), 200)

    def _unreadable(self, error: CodecError) -> bytes:
        """The fault of a request that cannot be read; an opcode nobody has heard of is named as such (rule 47)."""
        if not isinstance(error.__context__, UnknownOpcode):
            return encode_client_fault(str(error), self._dialect)
        unknown = BrmFault("BAD_OPCODE", "", str(error), location="CM", is_client=True)
        return encode_fault(_ebuf(str(error.__context__.args[0]), unknown), self._dialect, "Client")

    def _header_fault(self, request: web.Request) -> str:
        return request.headers.get("X-Sandbox-Fault", "") if self._instance.settings.allow_header_faults else ""

    def _hang_up(self) -> None:
        """Cut every connection that is being served."""
        for transport in list(self._transports):
            transport.abort()

    async def _half(self, request: web.Request, call: BrmCall, output: Flist) -> web.StreamResponse:
        """Announce the whole answer, send half of it, and hang up."""
        body = self._encoded(call, output)
        response = web.StreamResponse(headers={"Content-Type": f"{_XML}; charset=utf-8", "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        _cut(request)
        return response

    def _encoded(self, call: BrmCall, output: Flist) -> bytes:
        return encode_response(call.opcode, listed(output, OPCODES[call.opcode].output), self._dialect)

    @staticmethod
    def _answer(body: bytes, status: int) -> web.Response:
        return web.Response(body=body, status=status, content_type=_XML, charset="utf-8")


def listed(flist: Flist, group: Group) -> Flist:
    """The part of an output that the opcode's table lists; stored objects have more fields than some answers show."""
    shown: Flist = {}
    for name, value in flist.items():
        spec = group.find(name)
        if spec is None:
            continue
        if spec.group is not None and isinstance(value, Array):
            shown[name] = Array({key: listed(body, spec.group) if body else body for key, body in value.items()})
        elif spec.group is not None and isinstance(value, dict):
            shown[name] = listed(value, spec.group)
        else:
            shown[name] = value
    return shown


def _cut(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _ebuf(opcode: str, fault: BrmFault) -> EBuf:
    return EBuf(
        error=f"PIN_ERR_{fault.name}",
        errclass=f"PIN_ERRCLASS_{fault.error_class.value}",
        location=f"PIN_ERRLOC_{fault.location}",
        field=f"PIN_FLD_{fault.field}" if fault.field else "",
        opcode=opcode,
        descr=fault.descr,
        rec_id=fault.rec_id,
        error_number=NUMBERS.get(fault.name, 0),
        errclass_number=CLASS_NUMBERS[fault.error_class],
        location_number=LOCATIONS.index(fault.location) + 1,
    )
