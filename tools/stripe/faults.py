"""How the stand-in misbehaves on request: settings of `/_control` and the dice they roll."""

import random
import threading
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from tools.stripe.methods import PAYABLE
from tools.stripe.planned import Plan, PlannedError, Stage
from tools.stripe.refusals import BadControl


@dataclass(frozen=True)
class Settings:
    """Everything `/_control` can set; the defaults are a well-behaved Stripe.

    Times are in seconds. ``methods``: what the account's dashboard offers to intents with automatic
    payment methods. ``timers`` false: nothing happens to a payment by itself any more. ``settle_s``
    and ``settle_late_s``: how long banks and voucher payers take, by Stripe's test values.
    """

    drop: float = 0.0
    duplicate: int = 1
    shuffle: bool = False
    delay_s: tuple[float, float] = (0.0, 0.0)
    webhooks: bool = True
    error_rate: float = 0.0
    error_created: float = 0.0
    latency_s: tuple[float, float] = (0.0, 0.0)
    lose_response: float = 0.0
    processing_s: float = 0.0
    timers: bool = True
    settle_s: float = 1.0
    settle_late_s: float = 180.0
    redirect_expires_s: float = 3600.0
    authorisation_s: float = 7 * 86_400.0
    dispute_fee_returned: bool = True
    cancel_processing: bool = False
    methods: tuple[str, ...] = ("card",)
    dispute_after_s: float = 1.0
    refund_after_s: float = 1.0
    seed: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The settings as `/_control` shows them."""
        return asdict(self)


@dataclass
class Faults:
    """The current settings, and chance by their seed. Safe to ask from many threads."""

    settings: Settings = field(default_factory=Settings)
    _dice: random.Random = field(default_factory=random.Random)
    _mutex: threading.Lock = field(default_factory=threading.Lock)
    _plan: Plan = field(default_factory=Plan)

    def plan(self, errors: list[PlannedError]) -> None:
        """Let the next calls fail as ordered, after those ordered before."""
        with self._mutex:
            self._plan.errors += errors

    def planned(self) -> list[PlannedError]:
        """Return what is ordered and has not happened yet."""
        with self._mutex:
            return list(self._plan.errors)

    def next_error(self, method: str, path: str, stage: Stage) -> PlannedError | None:
        """Return the error ordered for this call, counted down, or None."""
        with self._mutex:
            return self._plan.take(method, path, stage)

    def change(self, wanted: dict[str, Any]) -> Settings:
        """Take over some settings; `reset` first goes back to the defaults. Raises BadControl."""
        wanted = dict(wanted)
        reset = wanted.pop("reset", False)
        if not isinstance(reset, bool):
            raise BadControl("reset must be true or false.")
        known = {entry.name for entry in fields(Settings)}
        for name in wanted:
            if name not in known:
                raise BadControl(
                    f"There is no setting {name!r}. Known: {', '.join(sorted(known))}."
                )
        checked = {name: _checked(name, value) for name, value in wanted.items()}
        with self._mutex:
            self.settings = replace(Settings() if reset else self.settings, **checked)
            if reset:
                self._plan = Plan()
            if reset or "seed" in checked:
                self._dice = random.Random(self.settings.seed)
            return self.settings

    def happens(self, chance: float) -> bool:
        """Roll the dice once."""
        if chance <= 0:
            return False
        with self._mutex:
            return self._dice.random() < chance

    def between(self, span: tuple[float, float]) -> float:
        """A number of seconds out of a span."""
        if span[1] <= 0:
            return 0.0
        with self._mutex:
            return self._dice.uniform(*span)

    def pick(self, count: int) -> int:
        """A number from 0 to count - 1."""
        with self._mutex:
            return self._dice.randrange(count)


def _checked(name: str, value: Any) -> Any:
    if name in ("drop", "error_rate", "error_created", "lose_response"):
        if not _is_number(value) or not 0 <= value <= 1:
            raise BadControl(f"{name} must be a number from 0 to 1.")
        return float(value)
    if name == "methods":
        types = value if isinstance(value, list) else []
        if not types or any(one not in PAYABLE for one in types):
            raise BadControl(f"methods must be a list out of {', '.join(PAYABLE)}.")
        return tuple(types)
    if name in ("shuffle", "webhooks", "timers", "cancel_processing", "dispute_fee_returned"):
        if not isinstance(value, bool):
            raise BadControl(f"{name} must be true or false.")
        return value
    if name == "duplicate":
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 100:
            raise BadControl(
                "duplicate must be a whole number from 1 to 100: copies of each event."
            )
        return value
    if name == "seed":
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise BadControl("seed must be a whole number or null.")
        return value
    if name in ("delay_s", "latency_s"):
        span = value if isinstance(value, list) else [value, value]
        if len(span) != 2 or not all(_is_number(end) and 0 <= end <= 3600 for end in span):
            raise BadControl(f"{name} must be seconds from 0 to 3600, or a pair [least, most].")
        if span[0] > span[1]:
            raise BadControl(f"{name} must have its smaller number first.")
        return (float(span[0]), float(span[1]))
    if not _is_number(value) or not 0 <= value <= 31 * 86_400:
        raise BadControl(f"{name} must be seconds from 0 to {31 * 86_400}.")
    return float(value)


def _is_number(value: Any) -> bool:
    # NaN compares false with everything, so it fails the bounds that follow.
    return isinstance(value, int | float) and not isinstance(value, bool)
