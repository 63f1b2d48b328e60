"""Templates stay readable and leave working things out to Python."""

from pathlib import Path

import pytest

from tools import templates


def test_our_templates_are_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    status = templates.main()

    assert (status, capsys.readouterr().out) == (0, "")


def test_long_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "email").mkdir()
    (tmp_path / "email" / "a.txt").write_text("short\n" + "é" * 120 + "\n" + "é" * 121)

    assert list(templates.faults(tmp_path)) == ["email/a.txt:3: 121 characters"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ order.total_minor - refunded }}",
        "{{ a + b }}",
        "{{ width * 2 }}",
        "{{ seconds // 60 }}",
        "{{ rating / count }}",
        "{{ row % 2 }}",
        "{{ -saved_minor | money }}",
        "{% set page = found.page + 1 %}",
        '<a href="{{ url_for("list", page=page + 1) }}">',
        "{% for n in range(open + 1) %}{% endfor %}",
        "{% macro total(line) %}{{ line.price * line.quantity }}{% endmacro %}",
    ],
)
def test_arithmetic_is_found(source: str) -> None:
    assert list(templates.logic(source)) == [(1, "arithmetic: work it out in Python")]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ lines | sum(attribute='left') }}", "sum"),
        ("{% if lines | selectattr('left') %}{% endif %}", "selectattr"),
        ("{{ cards | map(attribute='name') | join }}", "map"),
        ("{{ delta|abs }}", "abs"),
    ],
)
def test_filter_that_works_something_out_is_found(source: str, name: str) -> None:
    assert list(templates.logic(source)) == [(1, f"the filter {name}: work it out in Python")]


@pytest.mark.parametrize(
    "source",
    [
        "{% if order.status == 'paid' %}a{% elif order.status == 'refunded' %}b{% endif %}",
        "{% if order.status in ('a', 'b') %}a{% elif x and order.status != 'c' %}b{% endif %}",
        "{{ 'a' if order.status == 'paid' else 'b' if order.status == 'refunded' else 'c' }}",
    ],
)
def test_chain_of_comparisons_with_words_is_found(source: str) -> None:
    assert list(templates.logic(source)) == [
        (1, "2 branches compare order.status with words: decide in Python")
    ]


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'open' if is_open }}",
        "<details{{ ' open' if is_open }}>",
        "{% set name = a if b %}",
        "{{ 'a' if x else 'b' if y }}",
    ],
)
def test_inline_if_without_else_is_found(source: str) -> None:
    assert list(templates.logic(source)) == [(1, "an inline if without else: add else ''")]


@pytest.mark.parametrize(
    "source",
    [
        "{{ first ~ ' ' ~ last }}",
        "{{ {'min': -1} }}",
        "{% if order.status == 'paid' %}a{% elif order.is_late %}b{% else %}c{% endif %}",
        "{% if a == 'x' %}{% endif %}{% if a == 'y' %}{% endif %}",
        "{{ 'a' if x else 'b' if y else '' }}",
        "{% trans name=who %}Hello {{ name }}{% endtrans %}",
        "{{ names | join(', ') | lower }}",
        "{% for line in lines if line.left %}{{ loop.index }}{% endfor %}",
        "{{ a > b }}",
    ],
)
def test_what_only_shows_is_left_alone(source: str) -> None:
    assert list(templates.logic(source)) == []
