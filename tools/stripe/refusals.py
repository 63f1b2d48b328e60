"""The errors of Stripe's API, in Stripe's shape: type, code, sentence, HTTP status."""

from typing import Any

DOCS = "https://docs.stripe.com/error-codes/"


class BadControl(ValueError):
    """A control request that cannot be followed; the message says why."""


class Refusal(Exception):
    """An answer other than 200. `keeps_changes` says whether what was written so far stays."""

    type = "invalid_request_error"
    status = 400
    keeps_changes = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.extra = extra
        self.headers: dict[str, str] = {}
        if status is not None:
            self.status = status

    def body(self) -> dict[str, Any]:
        """The JSON object that goes over the wire."""
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = DOCS + self.code.replace("_", "-")
        if self.param:
            error["param"] = self.param
        error.update({name: value for name, value in self.extra.items() if value is not None})
        return {"error": error}


class Invalid(Refusal):
    """The request itself is wrong: a parameter, or the state of the object."""


class Missing(Refusal):
    """There is no such object."""

    status = 404

    def __init__(self, kind: str, object_id: str, *, param: str = "id") -> None:
        super().__init__(f"No such {kind}: '{object_id}'", code="resource_missing", param=param)


class Unauthorised(Refusal):
    """No key, or one that this server does not take."""

    status = 401


class Forbidden(Refusal):
    """A publishable key asked for what only a secret key may do."""

    status = 403


class CardRefused(Refusal):
    """The card was declined or its details are wrong. A decline keeps the failed attempt."""

    type = "card_error"
    status = 402

    def __init__(self, message: str, *, keeps_changes: bool = False, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.keeps_changes = keeps_changes


class AuthenticationFailed(Invalid):
    """3-D Secure was not passed; the attempt is kept."""

    keeps_changes = True


class KeyReused(Refusal):
    """An idempotency key came back with another request."""

    type = "idempotency_error"


class KeyInUse(Refusal):
    """The first request with this idempotency key is still running."""

    type = "idempotency_error"
    status = 409


class Locked(Refusal):
    """Another request holds the object for too long."""

    status = 409
