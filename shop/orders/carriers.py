"""Carriers that we know, and where each shows a shipment by its tracking number.

A carrier is text that staff type; one that is not in the table has no link.
"""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Carrier:
    """``page`` is where a shipment is tracked, with ``{number}`` in it; ``aliases`` are other names
    that staff write."""

    name: str
    page: str
    aliases: tuple[str, ...] = ()


CARRIERS = (
    Carrier(
        "DHL",
        "https://www.dhl.com/global-en/home/tracking/tracking-parcel.html"
        "?submit=1&tracking-id={number}",
        ("DHL Express", "DHL Paket"),
    ),
    Carrier("DPD", "https://tracking.dpd.de/status/en_US/parcel/{number}"),
    Carrier("GLS", "https://gls-group.eu/EU/en/parcel-tracking?match={number}"),
    Carrier("UPS", "https://www.ups.com/track?loc=en_US&tracknum={number}"),
    Carrier("FedEx", "https://www.fedex.com/fedextrack/?trknbr={number}", ("Federal Express",)),
    Carrier("PostNL", "https://jouw.postnl.nl/track-and-trace/{number}", ("Post NL",)),
    Carrier("bpost", "https://track.bpost.cloud/btr/web/#/search?itemCode={number}"),
    Carrier(
        "La Poste",
        "https://www.laposte.fr/outils/suivre-vos-envois?code={number}",
        ("Colissimo",),
    ),
    Carrier("Royal Mail", "https://www.royalmail.com/track-your-item#/tracking-results/{number}"),
    Carrier(
        "Austrian Post",
        "https://www.post.at/sv/sendungsdetails?snr={number}",
        ("Österreichische Post", "Post AT"),
    ),
    Carrier(
        "Swiss Post",
        "https://service.post.ch/ekp-web/ui/entry/search/{number}",
        ("Die Schweizerische Post", "La Poste Suisse", "Posta Svizzera"),
    ),
    Carrier(
        "Correos",
        "https://www.correos.es/es/es/herramientas/localizador/envios/detalle?tracking-number={number}",
    ),
    Carrier(
        "Poste Italiane", "https://www.poste.it/cerca/index.html#/risultati-spedizioni/{number}"
    ),
    Carrier(
        "Hermes",
        "https://www.myhermes.de/empfangen/sendungsverfolgung/sendungsinformation/#{number}",
        ("Hermes Germany", "myHermes"),
    ),
    Carrier("Evri", "https://www.evri.com/track/parcel/{number}", ("Hermes UK",)),
)


def tracking_page(carrier: str, tracking_number: str) -> str:
    """Returns the address at which this carrier shows the shipment; empty for a carrier that is not
    known, or without a number."""
    number = "".join(tracking_number.split())
    known = _BY_NAME.get(_folded(carrier))
    return known.page.format(number=quote(number, safe="")) if known and number else ""


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


_BY_NAME = {_folded(name): one for one in CARRIERS for name in (one.name, *one.aliases)}
