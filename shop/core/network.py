"""Where a request comes from, as limits count it, and when it may come again."""

import hashlib
import hmac
import math
from ipaddress import IPv6Address, ip_address

from shop.core import clock

HOST_BITS = 64  # what a host chooses itself in IPv6: RFC 4291, section 2.5.1

_key = b""


def configure(secret_key: str) -> None:
    """Set the key of the digests; called once by the factory."""
    global _key
    _key = b"network:" + secret_key.encode()


def digest_of(address: str) -> str:
    """The network of an address as a keyed digest: tells whether two requests came from the same
    one, and nobody where from. Empty for no address."""
    if not address:
        return ""
    return hmac.new(_key, network_of(address).encode(), hashlib.sha256).hexdigest()[:32]


def network_of(address: str) -> str:
    """An IPv4 address as it is, and the subnet (/64) of an IPv6 address: within it a host changes
    addresses as it likes. Who was given more than one subnet counts as several callers. Anything
    else stays as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> HOST_BITS << HOST_BITS))


def wait_s(reset_at: float | None) -> int:
    """Returns the whole seconds until a limit begins again, for ``Retry-After`` (RFC 9110, 10.2.3).

    ``reset_at`` is in seconds since 1970; a minute when nobody knows.
    """
    return max(1, math.ceil(reset_at - clock.epoch_s())) if reset_at else 60
