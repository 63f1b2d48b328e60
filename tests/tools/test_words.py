"""What `python -m tools.words` finds outside of gettext."""

from pathlib import Path

import pytest

from tools import words


def found(folder: Path, source: str, name: str = "page.html") -> list[str]:
    (folder / name).write_text(source)
    return [line.partition("gettext: ")[2] for line in words.silent_sentences(folder, ("page",))]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Your cart</p>", "Your cart"),
        ('<p>{{ _("Your cart") }} is empty</p>', "\N{OBJECT REPLACEMENT CHARACTER} is empty"),
        ('<input placeholder="Search">', 'placeholder="Search"'),
        ('{{ empty("Nothing here yet", icon="box") }}', "Nothing here yet"),
        ('{{ "Add to cart" if can else _("Sold out") }}', "Add to cart"),
        ('{% set heading = "Sign in" %}{{ heading }}', "Sign in"),
    ],
)
def test_text_outside_gettext_is_found(tmp_path: Path, source: str, text: str):
    assert found(tmp_path, source) == [text]


@pytest.mark.parametrize(
    "source",
    [
        '<p class="soft wide">{{ _("Your cart") }} · {{ total }}</p>',
        "<p>{% trans n=2 %}Your {{ n }} items{% endtrans %}</p>",
        '<script type="application/json">{"Your": "cart"}</script>',
        '<a href="{{ url_for("store.page", slug="contact") }}">{{ name }}</a>',
        "{# A word about this page. #}",
    ],
)
def test_other_texts_are_left_alone(tmp_path: Path, source: str):
    assert found(tmp_path, source) == []


def test_plain_text_counts_as_visible(tmp_path: Path):
    assert found(tmp_path, "Thank you, {{ name }}.\n{{ path }}\n", "page.txt") == [
        "Thank you, \N{OBJECT REPLACEMENT CHARACTER}."
    ]


def test_refusals_outside_gettext_are_found():
    source = """
raise NotFound("Order not found.")
raise NotFound(_("Order not found."))
raise Invalid(f"At most {most}.", field="quantity")
raise RuntimeError("the door is not set up")
flash("Saved.", "success")
flash(note)
"""

    assert list(words.silent_refusals(source)) == [
        "2: outside of gettext: 'Order not found.'",
        "4: outside of gettext: f'At most {most}.'",
        "6: outside of gettext: 'Saved.'",
    ]


def test_strings_of_scripts_outside_gettext_are_found():
    source = """
button.textContent = isBusy ? "Please wait" : _("Pay");
toast({ title: `New order ${number}`, text: _("Look at it") });
row.innerHTML = "<b>Late</b>";
show(`${message} ${_("Try again.")}`, _(`Order ${number}`));
label.textContent = `${count} items`;
"""

    assert list(words.silent_strings(source)) == [
        "2: outside of gettext: Please wait",
        "3: outside of gettext: New order \N{OBJECT REPLACEMENT CHARACTER}",
        "4: outside of gettext: Late",
        '5: not as gettext needs it: `${message} ${_("Try again.")}`',
        "5: not as gettext needs it: `Order ${number}`",
        "6: outside of gettext: \N{OBJECT REPLACEMENT CHARACTER} items",
    ]


def test_strings_for_programs_are_left_alone():
    source = """
// A word about this script.
const first = list.querySelector(".row a, button:not([hidden])");
if (event.key === "Enter") throw new Error("There is no row here");
row.className = isBad ? "pill pill-bad" : `pill pill-${tone}`;
fetch(`${address}?q=${query}`, { headers: { "Content-Type": "application/json" } });
title.textContent = ngettext("%(num)s item", "%(num)s items", count);
"""

    assert list(words.silent_strings(source)) == []
