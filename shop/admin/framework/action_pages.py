"""Where actions are sent to: for one record, for several, for all that match."""

from typing import Any

from flask import Response, abort, flash, jsonify, redirect, request
from flask_appbuilder import expose

from shop.admin.framework import actions, errors, listing
from shop.admin.framework.actions import Action
from shop.admin.framework.list_pages import ListPages
from shop.admin.framework.screens import Page
from shop.core.errors import NotFound
from shop.core.i18n import gettext as _


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
            noun = self.noun if done == 1 else self.list_title.lower()
            said = _(
                "%(action)s: %(count)s %(noun)s.", action=action.label, count=f"{done:,}", noun=noun
            )
            flash(said, "success")
        for result in results:
            if not result.ok:
                flash(
                    _("%(name)s: %(sentence)s", name=result.name, sentence=result.sentence),
                    "warning",
                )
        return self.to_list()

    @expose("/action/<string:name>/<pk>", methods=["POST"])
    def action(self, name: str, pk: str) -> Page:
        """An action on one record."""
        action = self._allowed_action(name, many=False)
        (result,) = actions.run(self, action, [self._key(pk)])
        sentence = f"{result.name} {result.sentence}" if result.ok else result.sentence
        if errors.wants_json():
            return Response(
                jsonify(message=sentence).data,
                200 if result.ok else 409,
                mimetype="application/json",
            )
        flash(sentence, "success" if result.ok else "danger")
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
            return listing.keys(self, listing.read(self, request.args), actions.MAX_AT_ONCE)
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
