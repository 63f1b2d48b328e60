"""Headers of the staff side: nothing inline, nothing from elsewhere, nothing kept by caches."""

from urllib.parse import urlsplit

from flask import Flask, Response, request


def init_app(app: Flask) -> None:
    """Add the headers to every answer under ``/admin``."""
    policy = content_security_policy(app.config["SETTINGS"].realtime_url)

    @app.after_request
    def protect(response: Response) -> Response:
        if request.path != "/admin" and not request.path.startswith("/admin/"):
            return response
        # A page that frames something of ours, or is framed by us, says so itself (mail.py).
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-store"
        return response


def content_security_policy(realtime_url: str) -> str:
    """The policy; sockets may only go to our own realtime process."""
    parts = urlsplit(realtime_url)
    sockets = f"{parts.scheme}://{parts.netloc}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            f"connect-src 'self' {sockets}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )
