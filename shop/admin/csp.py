"""Headers of the staff side: nothing inline, nothing from elsewhere, nothing kept by caches."""

from flask import Flask, Response, request

from shop.core.csp import page_policy


def init_app(app: Flask) -> None:
    """Add the headers to every answer under ``/admin``."""
    policy = page_policy(app.config["SETTINGS"].realtime_url)

    @app.after_request
    def protect(response: Response) -> Response:
        if request.path != "/admin" and not request.path.startswith("/admin/"):
            return response
        # A page that frames something of ours, or is framed by us, says so itself (emails.py).
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-store"
        return response
