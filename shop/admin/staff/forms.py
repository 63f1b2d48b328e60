"""Forms for passwords of staff."""

from flask_wtf import FlaskForm
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired

from shop.core.i18n import lazy_gettext


class NewPasswordForm(FlaskForm):
    """A new password, typed twice."""

    password = PasswordField(
        lazy_gettext("New password"),
        [InputRequired(lazy_gettext("Fill in a password."))],
        description=lazy_gettext(
            "At least 12 characters. A few unusual words are easy to remember."
        ),
        render_kw={"autocomplete": "new-password"},
    )
    repeat = PasswordField(
        lazy_gettext("New password again"),
        [EqualTo("password", lazy_gettext("The two do not match."))],
        render_kw={"autocomplete": "new-password"},
    )


class OwnPasswordForm(NewPasswordForm):
    """Whoever changes their password proves that they know the present one."""

    current = PasswordField(
        lazy_gettext("Current password"),
        [InputRequired(lazy_gettext("Fill in your current password."))],
        render_kw={"autocomplete": "current-password"},
    )
