"""Which versions of Stripe's API there are (https://docs.stripe.com/changelog).

The stand-in answers in the shape of one only, that of the installed SDK: another version that
Stripe knows is refused with a sentence, rather than answered in a shape that it does not have.
"""

import re
from datetime import date

import stripe

from tools.stripe.refusals import Invalid

RELEASES = {
    "acacia": date(2024, 9, 30),
    "basil": date(2025, 3, 31),
    "clover": date(2025, 9, 30),
    "dahlia": date(2026, 3, 25),
}


def check(version: str | None) -> None:
    """Raise Invalid for a `Stripe-Version` that Stripe, or this stand-in, does not speak."""
    if version is None or version == stripe.api_version:
        return
    found = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:\.([a-z]+))?", version)
    known = False
    if found is not None:
        try:
            day = date.fromisoformat(found[1])
            pinned = date.fromisoformat(stripe.api_version[:10])
            known = (
                day <= pinned and day >= RELEASES[found[2]]
                if found[2] in RELEASES
                else found[2] is None and day < RELEASES["acacia"]
            )
        except ValueError:
            known = False
    if not known:
        raise Invalid(
            f"Invalid Stripe API version: {version}. You can find a list of versions in the API "
            "changelog at https://docs.stripe.com/changelog."
        )
    raise Invalid(
        f"This stand-in speaks Stripe API version {stripe.api_version} only, as the installed SDK "
        f"does; {version} has other shapes."
    )
