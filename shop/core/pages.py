"""Jinja for the shop's pages and emails: it says sentences in their reader's language, cheaply.

A page says a hundred sentences, most of them without values. As Jinja calls functions, each would
cost more than what the page asks of its cart: the context looks twice whether the function wants
it, and Markup's own ``%`` takes four times as long as that of a string. So the compiler writes a
sentence that stands in a template as one plain call, and one without values is kept ready-made.
"""

import keyword
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, TypeGuard

from jinja2 import Environment, nodes, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.idtracking import VAR_LOAD_RESOLVE
from jinja2.nodes import EvalContext
from markupsafe import Markup, escape

from shop.core import i18n

SENTENCE = ("_", "gettext")


class SentenceCompiler(CodeGenerator):
    """Writes ``_("…")`` and ``{% trans %}`` as a call of the environment's own, past the context.

    Only where the sentence stands there, ``_`` is nothing of the template's own, and it is known
    whether the template is HTML; anything else is called as Jinja calls all functions.
    """

    def visit_Call(self, node: nodes.Call, frame: Frame, **options: bool) -> None:  # type: ignore[override]  # Jinja's decorator takes names only
        if not self._is_sentence(node, frame):
            super().visit_Call(node, frame, **options)
            return
        is_html = frame.eval_ctx.autoescape
        filled = "_filled" if node.kwargs else ""
        self.write(f"environment.{'html' if is_html else 'text'}_sentence{filled}(")
        self.visit(node.args[0], frame)
        for value in node.kwargs:
            self.write(f", {value.key}=")
            self.visit(value.value, frame)
        self.write(")")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if finalize.src is None and frame.eval_ctx.autoescape and self._is_sentence(node, frame):
            self.write("(")  # it is HTML already
        else:
            super()._output_child_pre(node, frame, finalize)

    def _is_sentence(self, node: nodes.Node, frame: Frame) -> TypeGuard[nodes.Call]:
        return (
            isinstance(node, nodes.Call)
            and isinstance(node.node, nodes.Name)
            and node.node.name in SENTENCE
            and not frame.eval_ctx.volatile
            and len(node.args) == 1
            and isinstance(node.args[0], nodes.Const)
            and not (node.dyn_args or node.dyn_kwargs)
            and not any(keyword.iskeyword(value.key) for value in node.kwargs)
            and self._is_global(node.node.name, frame)
        )

    @staticmethod
    def _is_global(name: str, frame: Frame) -> bool:
        load = frame.symbols.find_load(frame.symbols.ref(name))
        return load is not None and load[0] == VAR_LOAD_RESOLVE


class PageEnvironment(Environment):
    """Environment of pages: ``_("…")``, ``ngettext(…)``, ``{% trans %}…`` and ``locale()``."""

    code_generator_class = SentenceCompiler

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """The globals of a template. A template with none of its own has those of the environment,
        as they are: each ``import`` of each page would compare the names of two mappings in
        Python. Nothing changes the globals of one template."""
        return super().make_globals(d) if d else self.globals

    @staticmethod
    def html_sentence(message: str) -> Markup:
        """Returns HTML: ``message`` in the current language."""
        return _safe(i18n.locale(), message)

    @staticmethod
    def text_sentence(message: str) -> str:
        """Returns text: ``message`` in the current language."""
        return i18n.translated(message) % ()

    @staticmethod
    def html_sentence_filled(message: str, /, **values: Any) -> Markup:
        """Returns HTML: ``message`` in the current language, the escaped ``values`` in it."""
        return _markup(i18n.translated(message), values)

    @staticmethod
    def text_sentence_filled(message: str, /, **values: Any) -> str:
        """Returns text: ``message`` in the current language, ``values`` in it."""
        return i18n.translated(message) % values


def install(env: Environment) -> None:
    """Teach the templates of ``env`` gettext. Flask-AppBuilder puts slower functions of its own
    there, so this comes after it."""
    env.add_extension("jinja2.ext.i18n")
    env.newstyle_gettext = True  # type: ignore[attr-defined]
    env.policies["ext.i18n.trimmed"] = True
    env.globals.update(_=_gettext, gettext=_gettext, ngettext=_ngettext, locale=i18n.language)


@pass_eval_context
def _gettext(eval_ctx: EvalContext, message: str, /, **values: Any) -> str:
    return _filled(eval_ctx, i18n.translated(message), values)


@pass_eval_context
def _ngettext(
    eval_ctx: EvalContext, singular: str, plural: str, count: int, /, **values: Any
) -> str:
    values.setdefault("num", count)
    return _filled(eval_ctx, i18n.numbered(singular, plural, count), values)


def _filled(eval_ctx: EvalContext, text: str, values: dict[str, Any]) -> str:
    return _markup(text, values) if eval_ctx.autoescape else text % values


@lru_cache(maxsize=4096)
def _safe(_chosen: str, message: str) -> Markup:
    return Markup(i18n.translated(message) % ())


def _markup(text: str, values: dict[str, Any]) -> Markup:
    # Markup(…) would look whether it is given HTML; this is some.
    return str.__new__(Markup, text % {name: escape(value) for name, value in values.items()})
