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


def failure(what: str, said: str) -> str:
    """A sentence for a failed start, with the advice that the program's last words call for."""
    if "No space left on device" in said:
        return f"{what}: the disk is full. Free some space, then run it again; nothing was lost."
    return f"{what}. Its last words:\n{said.strip()}"
