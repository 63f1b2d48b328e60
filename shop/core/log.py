"""Structured logs: one JSON object a line, with the request id and the actor."""

import json
import logging
import sys
from datetime import UTC, datetime

from shop.core import actor, redact

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; values given by ``extra=`` become fields.

    Secrets are taken out of every value, tracebacks included.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if actor.request_id():
            line["request_id"] = actor.request_id()
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        clean = {key: _clean(value) for key, value in line.items()}
        return json.dumps(clean, ensure_ascii=False)


def _clean(value: object) -> object:
    """The value without secrets; numbers stay numbers."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_clean(inner) for inner in value]
    return redact.redact(str(value))


def configure(level: int = logging.INFO) -> None:
    """Send this process's logs to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("alembic.runtime.plugins", "flask_appbuilder", "rq", "stripe", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
