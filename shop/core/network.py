"""Where a request comes from, as limits count it."""

from ipaddress import IPv6Address, ip_address

HOST_BITS = 64  # what a host chooses itself in IPv6: RFC 4291, section 2.5.1


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
