"""A name server on loopback that knows what a test tells it, by UDP and TCP (RFC 1035)."""

from __future__ import annotations

import socketserver
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Thread

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class Zone:
    """`records` by (name, type), as a zone file writes them. `silent` and `failing` names get no
    answer, or SERVFAIL; `long` ones are told by TCP alone."""

    port: int = 0
    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    long: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def answer(self, asked: bytes, *, by_udp: bool) -> bytes | None:
        query = dns.message.from_wire(asked)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        reply = dns.message.make_response(query)
        if name in self.silent:
            return None
        if name in self.failing:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif by_udp and name in self.long:
            reply.flags |= dns.flags.TC
        else:
            self._tell(reply, name, dns.rdatatype.to_text(question.rdtype))
        return reply.to_wire()

    def _tell(self, reply: dns.message.Message, name: str, kind: str) -> None:
        if alias := self.records.get((name, "CNAME")):
            reply.answer.append(dns.rrset.from_text_list(f"{name}.", 60, "IN", "CNAME", alias))
            name = alias[0].rstrip(".")
        if found := self.records.get((name, kind)):
            reply.answer.append(dns.rrset.from_text_list(f"{name}.", 60, "IN", kind, found))
        elif not any(one == name for one, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)


Handler = type[socketserver.BaseRequestHandler]


def _both(tcp: Handler, udp: Handler) -> tuple[socketserver.TCPServer, socketserver.UDPServer]:
    """Servers on a port that is free for both."""
    while True:
        first = socketserver.TCPServer(("127.0.0.1", 0), tcp)
        try:
            return first, socketserver.UDPServer(first.server_address, udp)
        except OSError:
            first.server_close()


@contextmanager
def name_server() -> Iterator[Zone]:
    zone = Zone()

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, line = self.request
            if (said := zone.answer(data, by_udp=True)) is not None:
                line.sendto(said, self.client_address)

    class Tcp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            (size,) = struct.unpack("!H", self.request.recv(2))
            if (said := zone.answer(self.request.recv(size), by_udp=False)) is not None:
                self.request.sendall(struct.pack("!H", len(said)) + said)

    with ExitStack() as stack:
        tcp, udp = _both(Tcp, Udp)
        zone.port = tcp.server_address[1]
        for server in (tcp, udp):
            stack.enter_context(server)
            Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield zone
