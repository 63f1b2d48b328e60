"""Why the development stack does not start, in sentences for people."""


class CannotStart(Exception):
    """The stack cannot start; the text says what to do about it."""


def refuse_production(server: str, setting: str, shop_env: str | None) -> None:
    """Raise `CannotStart` when an embedded server is asked for in production."""
    if shop_env == "production":
        raise CannotStart(
            f"The embedded {server} is for development only. In production, set {setting} "
            "to a server that is backed up and watched."
        )
