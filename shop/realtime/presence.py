"""Who of the staff is at the same record right now: to follow ``staff:presence:…`` is to be there.

The truth stands in Redis, a sorted set per record: each open tab until when it counts. The process
that holds the socket renews it while the peer answers, so what dies ends by itself, and an emptied
Redis is full again after ``REFRESH_S``. While Redis is away, a process knows its own tabs only.

Promise: what changes who is there tells so in the same step: ``presence.changed`` with everybody
(``{"people": [{"name", "id"}]}``), the reader too, each once for all their tabs. The snapshot says
the same, and by ``you`` which ``id`` is the reader's. Whoever leaves is missed at the second tick,
so that a reload is no news.

Nothing is kept: ``seq`` is Redis's time in microseconds (0 while it is away), so that an older list
never replaces a newer one; ``since`` is not looked at, because the snapshot says it all; after
``resync`` one subscribes again.
"""

import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any

import gevent
from redis.exceptions import RedisError

from shop.core import clock, redis
from shop.core.db import session
from shop.realtime import callers
from shop.realtime.connection import Connection
from shop.realtime.hub import Hub

log = logging.getLogger(__name__)

TICK_S = 1
REFRESH_S = 5
LIFETIME_S = 15

_KEY = "shop:presence:"
# A member is "<tab> <person as JSON>"; the arguments from the fourth on come (+) or go (-).
_STEP = """
local function people()
  local seen, list = {}, {}
  for _, tab in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local person = string.match(tab, ' (.*)')
    if not seen[person] then
      seen[person] = true
      list[#list + 1] = person
    end
  end
  table.sort(list)
  return '[' .. table.concat(list, ',') .. ']'
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local seq = string.format('%.0f', now)
local before = people()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', seq)
for i = 4, #ARGV do
  local tab = string.sub(ARGV[i], 2)
  if string.sub(ARGV[i], 1, 1) == '+' then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3] * 1000000), tab)
  else
    redis.call('ZREM', KEYS[1], tab)
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
local after = people()
if after ~= before then
  redis.call('PUBLISH', ARGV[1], string.gsub(ARGV[2], '@seq', seq, 1) .. after .. '}}')
end
return {seq, after}
"""


class Presence:
    """The tabs of this process; ``join`` is called by who may wait, nothing here by the hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._tabs: dict[tuple[Connection, str], str] = {}
        self._gone: set[str] = set()
        self._is_away = False

    def join(self, connection: Connection, name: str) -> tuple[int, dict[str, Any]]:
        """Be there with a socket that the hub expects. Returns ``seq`` and the snapshot.

        One statement, one step in Redis, whose absence is no error.
        """
        me = connection.caller.staff_id
        assert me is not None
        if (connection, name) not in self._tabs:
            person = _json({"name": callers.staff_name(me), "id": me})
            self._tabs[connection, name] = f"{secrets.token_urlsafe(9)} {person}"
        session.remove()  # no transaction is open while we wait for Redis
        seq, people = 0, self._ours(name)
        if not self._is_away:
            try:
                ((seq, people),) = _step({name: ["+" + self._tabs[connection, name]]})
            except RedisError as error:
                self._lost(error)
        return seq, {"people": people, "you": me}

    def run(self) -> None:
        """Renew who is there and take out who left, for ever."""
        seconds = 0
        while True:
            gevent.sleep(TICK_S)
            seconds += TICK_S
            try:
                self._beat(is_renewal=self._is_away or seconds % REFRESH_S == 0)
                self._is_away = False
            except RedisError as error:
                self._lost(error)
            except Exception:  # for ever means for ever: else everybody would seem to have left
                log.exception("presence not renewed")

    def _beat(self, *, is_renewal: bool) -> None:
        changes: dict[str, list[str]] = {}
        gone, self._gone = self._gone, set()
        for (connection, name), tab in list(self._tabs.items()):
            if not self._hub.is_following(connection, name):
                if tab not in gone:
                    self._gone.add(tab)
                    continue
                # If Redis does not hear it, the tab's time runs out there.
                del self._tabs[connection, name]
                changes.setdefault(name, []).append("-" + tab)
            elif is_renewal and connection.is_answering:
                changes.setdefault(name, []).append("+" + tab)
        _step(changes)

    def _ours(self, name: str) -> list[dict[str, Any]]:
        found = {tab.partition(" ")[2] for (_, where), tab in self._tabs.items() if where == name}
        return [json.loads(person) for person in sorted(found)]

    def _lost(self, error: RedisError) -> None:
        if not self._is_away:
            log.warning("presence is not shared", extra={"reason": str(error)})
        self._is_away = True


def _step(changes: Mapping[str, list[str]]) -> list[tuple[int, list[dict[str, Any]]]]:
    """Change these records and tell of it. Returns each one's ``seq`` and people."""
    pipe = redis.client().pipeline(transaction=False)
    for name, tabs in changes.items():
        pipe.eval(_STEP, 1, _KEY + name, redis.CHANNEL, _news(name), str(LIFETIME_S), *tabs)
    return [(int(seq), json.loads(people)) for seq, people in pipe.execute()]


def _news(name: str) -> str:
    """The broadcast up to where the script adds the people; it also knows ``seq``."""
    about = {"topic": name, "type": "presence.changed", "at": clock.now().isoformat()}
    return f'{{"seq":@seq,{_json(about)[1:-1]},"data":{{"people":'


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))
