"""`python -m tools.stripe --port N --webhook-url URL --webhook-secret whsec_…`"""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from tools.stripe.server import Server, StandIn


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. Returns 0, or 2 after a sentence that says what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.stripe", description="A local stand-in for Stripe."
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--webhook-url", help="where events are posted; without it none are sent")
    parser.add_argument("--webhook-secret", default="", help="signs events, starts with whsec_")
    parser.add_argument(
        "--webhook-events", default="", help="types of events to send, with commas; default: all"
    )
    parser.add_argument("--state", type=Path, help="a file that keeps everything over a restart")
    options = parser.parse_args(arguments)
    if os.environ.get("SHOP_ENV", "").strip().lower() == "production":
        return _refuse(
            "The Stripe stand-in does not run when SHOP_ENV=production: no real money "
            "would move. Set real Stripe keys and unset STRIPE_API_BASE."
        )
    if options.webhook_url:
        address = urlsplit(options.webhook_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            return _refuse("--webhook-url must be a full http:// or https:// address.")
        if not options.webhook_secret.startswith("whsec_"):
            return _refuse("--webhook-secret must be given and start with whsec_.")
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    try:
        stand_in = StandIn(
            webhook_url=options.webhook_url,
            secret=options.webhook_secret,
            wanted=[name for name in options.webhook_events.split(",") if name],
            state_file=options.state,
        )
    except OSError as problem:
        return _refuse(f"The state file {options.state} cannot be used: {problem.strerror}.")
    try:
        server = Server(options.host, options.port, stand_in)
    except (OSError, OverflowError) as problem:
        return _refuse(f"Cannot listen on {options.host}:{options.port}: {problem}.")
    stand_in.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the serving loop, which is this very thread.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"Stripe stand-in on http://{options.host}:{server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.2)
    server.server_close()
    stand_in.ledger.close()
    return 0


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
