"""Ground: database session and transaction, events, clock, money, actor, queue, email, tokens.

Owns what every feature stands on and knows nothing of the shop's trade.
Promise: an event exists if and only if the change that it tells of was committed.
"""
