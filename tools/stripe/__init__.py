"""A stand-in for Stripe, for development, tests and the demo: one small local server, no account.

Promise: the official SDK cannot tell it from Stripe for the calls this shop makes, and it can be
made to misbehave (`POST /_control`) in every way the real one is known to.
Leaves everything the shop does not use to the real Stripe. Never runs in production.
"""
