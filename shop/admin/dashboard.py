"""The first page after signing in."""

from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access

from shop.admin.base import Screen


class DashboardView(Screen):
    """Where everybody starts: the pages of one's role."""

    route_base = "/admin"
    default_view = "index"

    @expose("/")
    @has_access
    def index(self) -> str:
        """Show the start page."""
        return self.page("admin/dashboard.html", title="Welcome back")
