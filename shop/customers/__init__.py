"""People who buy: accounts, their sessions and their addresses.

Promise: nothing here tells a stranger whether an email address is known; a customer's session can
never reach what belongs to staff.
Leaves emails to notifications and orders to orders.
"""

from shop.customers.addresses import FIELDS as ADDRESS_FIELDS
from shop.customers.addresses import InvalidAddress
from shop.customers.addresses import clean as clean_address
from shop.customers.addresses import lines as address_lines
from shop.customers.countries import CountryRules, country_names, country_rules
from shop.customers.operations import (
    LINK_MINUTES,
    MIN_PASSWORD_LENGTH,
    authenticate,
    change_password,
    check_link,
    check_password,
    clean_email,
    confirm,
    delete_address,
    own_addresses,
    prove_mailbox,
    register,
    request_guest_orders,
    request_password_reset,
    reset_password,
    save_address,
    sign_in,
    sign_out,
)
from shop.customers.queries import by_id, by_session

__all__ = [
    "ADDRESS_FIELDS", "LINK_MINUTES", "MIN_PASSWORD_LENGTH", "CountryRules", "InvalidAddress",
    "address_lines", "authenticate", "by_id", "by_session", "change_password", "check_link",
    "check_password", "clean_address", "clean_email", "confirm", "country_names",
    "country_rules", "delete_address", "own_addresses", "prove_mailbox", "register",
    "request_guest_orders", "request_password_reset", "reset_password", "save_address",
    "sign_in", "sign_out",
]  # fmt: skip
