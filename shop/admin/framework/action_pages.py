"""Where actions are sent to: for one record, for several, for all that match."""

from typing import Any

from flask import Response, abort, flash, jsonify, redirect, request
from flask_appbuilder import expose

from shop.admin.framework import actions, errors, list_state
from shop.admin.framework.actions import Action
from shop.admin.framework.list_pages import ListPages
from shop.admin.framework.screens import Page
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _
from shop.core.i18n import ngettext

MAX_NAMED = 10  # messages travel in a cookie


class ActionPages(ListPages):
    """What can be done to the rows of a table."""

    @expose("/action_post", methods=["POST"])
    def action_post(self) -> Page:
        """An action on the selected rows, or on all that match; says what became of each."""
        action = self._allowed_action(request.form.get("action", ""), many=True)
        results = actions.run(self, action, self._selected())
        done = sum(result.ok for result in results)
        if errors.wants_json():
            return jsonify(
                done=done,
                results=[
                    {"id": one.id, "name": one.name, "ok": one.ok, "sentence": one.sentence}
                    for one in results
                ],
            )
        if not results:
            return self.to_list(_("Select at least one row first."), "warning")
        if done:
            flash(action.done_many(done), "success")
        failed = [result for result in results if not result.ok]
        for result in failed[:MAX_NAMED]:
            flash(
                _("%(name)s: %(sentence)s", name=result.name, sentence=result.sentence), "warning"
            )
        if more := len(failed[MAX_NAMED:]):
            flash(ngettext("%(num)s more failed.", "%(num)s more failed.", more), "warning")
        return self.to_list()

    @expose("/action/<string:name>/<pk>", methods=["POST"])
    def action(self, name: str, pk: str) -> Page:
        """An action on one record."""
        action = self._allowed_action(name, many=False)
        result = actions.run_one(self, action, self._key(pk))
        if errors.wants_json():
            return Response(
                jsonify(message=result.sentence).data,
                200 if result.ok else 409,
                mimetype="application/json",
            )
        flash(result.sentence, "success" if result.ok else "danger")
        return redirect(errors.back(self.list_address()), code=303)

    def locked(self, pk: Any) -> Any:
        """The record with this key, locked, for an action. Raises ``NotFound``."""
        item = self.datamodel.get(pk, conditions=self.scope())
        if item is None:
            raise NotFound(_("%(record)s not found.", record=self.noun.capitalize()))
        self.hold(item)
        return item

    def _selected(self) -> list[Any]:
        """The keys that were ticked, or all that match the list's address."""
        if request.form.get("all"):
            return self.matching_keys(list_state.read(self, request.args), actions.MAX_AT_ONCE)
        return [self._key(pk) for pk in request.form.getlist("rowid")[: actions.MAX_AT_ONCE]]

    def _allowed_action(self, name: str, *, many: bool) -> Action:
        chosen = next(
            (
                one
                for one in self.row_actions
                if one.name == name and (one.many if many else one.single)
            ),
            None,
        )
        if chosen is None:
            abort(404)
        if not self.may(chosen.needs):
            abort(403)
        return chosen
