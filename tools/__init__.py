"""What a laptop has instead of a cloud: embedded Postgres and Valkey, a stand-in for Stripe.

Owns `bin/dev` and the throw-away servers of tests and checks.
Promises: one command starts the whole shop, one Ctrl-C ends it, the next run mends a killed one.
Leaves the shop itself alone: nothing of it is imported here; its programs get settings in their
environment and are watched from outside.
"""
