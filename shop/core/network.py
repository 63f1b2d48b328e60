"""Where a request comes from, as limits count it."""

from ipaddress import IPv6Address, ip_address

SUBSCRIBER_BITS = 64  # what one line is given of IPv6: RFC 6177, section 2


def network_of(address: str) -> str:
    """An IPv4 address as it is, and of an IPv6 address what belongs to one subscriber: within it
    anybody changes addresses as they like. Anything else stays as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> SUBSCRIBER_BITS << SUBSCRIBER_BITS))
