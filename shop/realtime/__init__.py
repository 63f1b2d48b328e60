"""Sockets at ``/ws``: who may follow what, and one write per follower when something happens.

Promise: frames of one socket never interleave, a slow reader costs nobody else anything, and
whoever missed something gets it by ``since`` or is asked to ``resync``. Nothing here changes data.
Leaves to reactions what is broadcast, and to the relay when.
"""
