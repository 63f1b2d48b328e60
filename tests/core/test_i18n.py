"""Sentences in the language of their reader."""

from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from jinja2 import DictLoader, Environment

from shop.core import i18n, pages


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(locale="de")
    catalog.add("Your cart", "Dein Warenkorb")
    catalog.add("Only %(count)s left.", "Nur noch %(count)s da.")
    catalog.add(("%(num)s item", "%(num)s items"), ("%(num)s Artikel", "%(num)s Artikel"))
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "messages.mo").open("wb") as written:
        write_mo(written, catalog)
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)


@pytest.fixture
def page() -> Environment:
    env = pages.PageEnvironment(autoescape=True)
    pages.install(env)
    return env


def test_english_needs_no_catalog():
    assert i18n.gettext("Only %(count)s left.", count=3) == "Only 3 left."
    assert i18n.gettext("100 % linen") == "100 % linen"
    assert i18n.ngettext("%(num)s item", "%(num)s items", 1) == "1 item"
    assert i18n.ngettext("%(num)s item", "%(num)s items", 0) == "0 items"


def test_sentence_follows_the_locale(german: None):
    label = i18n.lazy_gettext("Your cart")

    with i18n.speaking("de"):
        assert i18n.gettext("Only %(count)s left.", count=3) == "Nur noch 3 da."
        assert i18n.ngettext("%(num)s item", "%(num)s items", 2) == "2 Artikel"
        assert str(label) == "Dein Warenkorb"
        assert i18n.gettext("Check out") == "Check out"

    assert str(label) == "Your cart"


def test_page_speaks_the_locale(german: None, page: Environment):
    template = page.from_string(
        '{{ _("Your cart") }}: '
        "{% trans count=n %}{{ count }} item{% pluralize %}{{ count }} items{% endtrans %}"
    )

    assert template.render(n=2) == "Your cart: 2 items"

    with i18n.speaking("de"):
        assert template.render(n=2).startswith("Dein Warenkorb: ")


def test_values_on_pages_are_escaped(page: Environment):
    template = page.from_string(
        '{{ _("Results for “%(words)s”", words=q) }} {{ _("5 %% off") }} '
        "{% trans q %}<b>{{ q }}</b>, 5 % off{% endtrans %}"
    )

    shown = template.render(q="<i>")

    assert shown == "Results for “&lt;i&gt;” 5 % off <b>&lt;i&gt;</b>, 5 % off"


def test_blocks_macros_and_loops_translate_alike(german: None) -> None:
    env = pages.PageEnvironment(
        autoescape=True,
        loader=DictLoader(
            {
                "frame": "{% block main %}{% endblock %}",
                "parts": "{% macro left(n) %}"
                '{{ _("Only %(count)s left.", count=n) }}{% endmacro %}',
                "page": '{% extends "frame" %}{% from "parts" import left %}{% block main %}'
                '{% for n in (1, "<2>") %}{{ left(n) }} {% endfor %}'
                '{% set words = "Your cart" %}{{ _(words) }} {{ _("Your cart")|upper }}'
                "{% endblock %}",
            }
        ),
    )
    pages.install(env)
    text = env.overlay(autoescape=False)
    template = env.get_template("page")

    assert template.render() == "Only 1 left. Only &lt;2&gt; left. Your cart YOUR CART"
    with i18n.speaking("de"):
        assert (
            template.render()
            == "Nur noch 1 da. Nur noch &lt;2&gt; da. Dein Warenkorb DEIN WARENKORB"
        )
        assert (
            text.from_string('{{ _("Only %(count)s left.", count="<2>") }}').render()
            == "Nur noch <2> da."
        )


def test_a_template_may_name_something_else_like_gettext(page: Environment) -> None:
    template = page.from_string('{% for _ in [say] %}{{ _("Your cart") }}{% endfor %}')

    assert template.render(say=str.upper) == "YOUR CART"
