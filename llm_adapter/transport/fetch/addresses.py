"""Which addresses are the public internet: where a URL out of a message may lead, and where it may not.

A message's URL can come from anybody, and this machine reaches what they cannot: its own services, the network around
it, a cloud's metadata (OWASP, Server-Side Request Forgery Prevention). Source: IANA's special-purpose registries,
which `ipaddress` holds; below are those that some Python version lacks, or takes for public.
"""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind a translator, in the last four bytes
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # RFC 6890 protocol assignments; Oracle's metadata is among them
        "192.88.99.0/24",  # RFC 7526, the old 6to4 relays
        "168.63.129.16/32",  # Azure's wire server: looks public, and is each virtual machine's own
        "64:ff9b:1::/48",  # RFC 8215, NAT64 of a local network
        "2001::/23",  # RFC 2928: Teredo, benchmarks, ORCHID
        "2002::/16",  # RFC 7526: 6to4, an IPv4 address in it; global up to Python 3.12 and not after
        "3fff::/20",  # RFC 9637, documentation
        "5f00::/16",  # RFC 9602, segment routing
        "fec0::/10",  # RFC 3879, site-local
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to a host on the public internet. False for what is no address."""
    try:
        return _public(ipaddress.ip_address(address))
    except ValueError:
        return False


def _public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return _public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped is not None or address.scope_id is not None:
            return False
    unlike = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not unlike and not any(address in network for network in _NOT_PUBLIC)
