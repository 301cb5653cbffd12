"""Conditions as text: what they mean, what is wrong with them, and that nothing else ever comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.query.conditions import trees
from zarr_vectors.exceptions import InputError
from zarr_vectors.query.attribute import col
from zarr_vectors.query.expressions import Expression
from zarr_vectors.query.grammar import MOST_TEXT, expression_of

x, y, z, label = col("x"), col("y"), col("z"), col("label")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (
            "x > 100 and (label in ('a', 'b') or not label is null) and 0 < z <= 5",
            (x > 100) & (label.isin(["a", "b"]) | ~label.is_null()) & (z > 0) & (z <= 5),
        ),
        ("x = 1", x == 1),
        ("x == 1", x == 1),
        ("x <> 1", x != 1),
        ("x != 1", x != 1),
        ("5 >= x", x <= 5),
        ("1 = x", x == 1),
        ("3 < x", x > 3),
        ("x>-1", x > -1),
        ("x < +.5e-3", x < 0.0005),
        ("x < 5.", x < 5.0),
        ("x > inf", x > float("inf")),
        ("x > -INF", x > float("-inf")),
        (f"x > {2**53 + 1}", x > 2**53 + 1),
        (f"x > {10**300}", x > 10**300),
        ("x is null", x.is_null()),
        ("x IS NOT NULL", ~x.is_null()),
        ("x NOT IN (1, 2)", ~x.isin([1, 2])),
        ("x in ()", x.isin([])),
        ("x Between 1 And 5 And y > 3", x.between(1, 5) & (y > 3)),
        ("x not between 1 and 5 or y > 3", ~x.between(1, 5) | (y > 3)),
        ("x > 1 or y > 1 and z > 1", (x > 1) | ((y > 1) & (z > 1))),
        ("not x > 1 and y > 1", ~(x > 1) & (y > 1)),
        ("not (x > 1 and y > 1)", ~((x > 1) & (y > 1))),
        ("not not x = true", ~~(x == True)),  # noqa: E712
        ("x = FALSE", x == False),  # noqa: E712
        ("label = 'it''s'", label == "it's"),
        (r"label = 'it\'s \\ \n'", label == "it's \\ \n"),
        ('label = "say ""no"""', label == 'say "no"'),
        ("label = ''", label == ""),
        ("`fragment_attributes/x` > 1", col("fragment_attributes/x") > 1),
        ("`a ``b`` c` > 1", col("a `b` c") > 1),
        (
            "`and` > 1 and andy > 1 and nota > 1 and infx > 1",
            (col("and") > 1) & (col("andy") > 1) & (col("nota") > 1) & (col("infx") > 1),
        ),
        ("größe\n>\t1", col("größe") > 1),
        ("点 = '線'", col("点") == "線"),
    ],
)
def test_text_means(text: str, meant: Expression) -> None:
    assert expression_of(text) == meant
    assert expression_of(str(meant)) == meant


WRONG = [
    ("label == ", "expected a value .*got the end", 9),
    ("x > y", "expected a value.*got y.*quotes", 4),
    ("1 < 2", "expected the name of an attribute", 4),
    ("x = null", "is null", 4),
    ("x > NaN", "is null", 4),
    ("x in (1, nan)", "is null", 9),
    ("flag and x > 3", "expected a comparison.*got and", 5),
    ("x in (a)", "quotes", 6),
    ("x between 1 and y", "quotes", 16),
    ("x > 'abc", "text in quotes has no end", 4),
    ("a.b > 3", "backticks", 1),
    ("x > 1 && y > 1", "write and", 6),
    ("x > 5 y", "got y", 6),
    (r"label = 'a\q'", "backslash", 10),
    ("(x > 1", "expected \\)", 6),
    ("x > 1)", "expected the end", 5),
    ("`` > 1", "backticks", 0),
    ("x > " + "9" * 5000, "3900 digits", 4),
    ("x > 1 or\ny ? 3", r"got \?", 11),
    ("x not > 3", "between or in", 6),
    ("x =", "got the end", 3),
]


@pytest.mark.parametrize(("text", "match", "at"), WRONG, ids=[text[:20] for text, _, _ in WRONG])
def test_what_is_wrong_is_shown_where_it_stands(text: str, match: str, at: int) -> None:
    with pytest.raises(InputError, match=match) as caught:
        expression_of(text)
    shown, caret = str(caught.value).splitlines()[-2:]
    assert caret == " " * (2 + at) + "^"
    assert text.replace("\n", " ").startswith(shown[2:].rstrip())


def test_a_place_far_along_is_shown_too() -> None:
    with pytest.raises(InputError) as caught:
        expression_of("x > 1 or " * 50 + "y ? 2" + " or x > 1" * 50)
    shown, caret = str(caught.value).splitlines()[-2:]
    assert shown[caret.index("^")] == "?"
    assert len(shown) < 80


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_is_no_condition(text: str) -> None:
    with pytest.raises(InputError, match="empty"):
        expression_of(text)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("(" * 100_000 + "x > 1" + ")" * 100_000, None),
        ("(" * 10_000, "got the end"),
        ("not " * 5_000 + "x > 1", "nested too deeply"),
        ("x > 1 and (y > 1 or (" * 1000 + "x > 1" + "))" * 1000, "nested too deeply"),
        ("x > 1 or " * MOST_TEXT, "too long"),
    ],
)
def test_no_depth_or_length_is_too_much(text: str, match: str | None) -> None:
    if match is None:
        assert expression_of(text) == (x > 1)
    else:
        with pytest.raises(InputError, match=match):
            expression_of(text)


@given(condition=trees({"a": False, "text in": True, "größe": False}))
def test_text_tells_what_it_was_made_from(condition: Expression) -> None:
    assert expression_of(str(condition)) == condition


@given(text=st.text(max_size=8), name=st.text(min_size=1, max_size=8))
def test_any_text_and_any_name_survive(text: str, name: str) -> None:
    condition = (col(name) == text) | col(name).isin([text, "b"])
    assert expression_of(str(condition)) == condition


WORDS = "x y `a b` and or not in is null between true inf nan ( ) , = == != <> < <= > >= 1 -2.5 1e5".split()  # noqa: SIM905
TOKENS = st.sampled_from([*WORDS, "'a'", '"b"', "'", "`", "\\", ".", "?", "-", "+", "é", "\n"])


@given(tokens=st.lists(TOKENS, max_size=12))
def test_soup_of_words_is_a_condition_or_refused(tokens: list[str]) -> None:
    check(" ".join(tokens))


@given(text=st.text(max_size=20))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    check(text)


def check(text: str) -> None:
    try:
        found = expression_of(text)
    except InputError:
        return
    assert expression_of(str(found)) == found
