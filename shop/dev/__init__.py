"""What a laptop has instead of a cloud: embedded Postgres and Valkey, a process runner, a stand-in for Stripe.

Owns `bin/dev` and the throw-away servers of tests and checks.
Promises: one command starts the whole shop, one Ctrl-C ends it, and a killed run is tidied up by the next.
Leaves the shop itself alone: nothing of it is imported here, its processes only get settings in their environment.
"""
