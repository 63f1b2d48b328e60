"""How much one client may ask of us, and what it hears when it asks for more."""

from dataclasses import dataclass

MAX_MESSAGE_BYTES = 16 * 1024
# Fragments that one message may come in: each costs us, also an empty one.
MAX_MESSAGE_PARTS = 64
MAX_MESSAGES_PER_SECOND = 20
# A client that is too fast is warned this many times before it is cut.
MAX_STRIKES = 10
MAX_TOPICS = 50
# Messages that wait for an answer while the database is slow.
MAX_INBOX = 100
MAX_BACKLOG_MESSAGES = 64
MAX_BACKLOG_BYTES = 256 * 1024
MAX_REPLAY = 100
# How long, and for how much more data, a peer may go on after we closed.
MAX_CLOSING_S = 5.0
MAX_CLOSING_BYTES = 8 * 1024 * 1024

# Close codes (RFC 6455, 7.4.1, and the registry it opened).
POLICY = 1008
TOO_BIG = 1009
RESTART = 1012
TRY_LATER = 1013


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an operator may set; each process counts for itself."""

    connections: int = 10_000
    per_address: int = 200
    per_person: int = 20
