"""Takes secrets out of text that people or log files get to see: errors, log lines, job failures.

It knows what the shop's own secrets look like. What is stored is kept free of them in other ways;
this is for text that others wrote, such as the message of an exception.
"""

import re

HIDDEN = "[hidden]"
_SECRETS = re.compile(
    r"""
      (?P<name>(?:token|ticket|password|secret|api_?key)(?:_\d+)?             # also staff_token, …
        ["']?\s*(?:[=:]|%3[AD])\s*["']?)(?P<value>[^\s&"'<>,;)}\]]{6,})      # token=…, "token": "…"
    | (?P<cookie>\b(?:cart|device|(?:__Host-)?shop)=["']?)(?P<crumb>[\w.=+/-]{16,})
    | (?P<path>/account/(?:confirm|password|claim)/|/admin/(?:invitation|forgotten)/)
        (?P<link>[A-Za-z0-9_-]{16,})                                           # mailed links
    | (?P<bearer>\b(?:Bearer|Authorization:\s*Basic)\s+)                     # Authorization
        (?P<given>[A-Za-z0-9._~+/=-]{8,})
    | (?P<url>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)(?P<word>[^\s/]+)(?=@)        # user:password@host
    | (?P<intent>\b(?:pi|seti)_[A-Za-z0-9]+_secret_)(?P<client>[A-Za-z0-9]+) # Stripe's clients
    | (?P<key>\b(?:[sr]k_(?:live|test)_|whsec_))(?P<rest>[A-Za-z0-9]+)       # Stripe's keys
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str) -> str:
    """Returns ``text`` with ``[hidden]`` in place of every secret that can be recognised as one."""
    return _SECRETS.sub(_hide, text)


def _hide(found: re.Match[str]) -> str:
    parts = found.groupdict()
    for kept in ("name", "cookie", "path", "bearer", "url", "intent", "key"):
        if parts[kept] is not None:
            return f"{parts[kept]}{HIDDEN}"
    return HIDDEN
