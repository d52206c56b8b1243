"""Reading the type forms that signatures hold: classes, unions, lists and tuples of message types.

Knows typing only; nothing of messages' fields, heads or graphs.
"""

import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Union, get_args, get_origin

NOTHING = type(None)


def members(form: Any) -> tuple[Any, ...]:
    """The members of a union, in order; any other form is its own only member. None becomes `NoneType`.

    Not cached: `A | B` and `B | A` are equal, so a cache would mix up their orders.
    """
    if get_origin(form) in (Union, types.UnionType):
        return tuple(member for part in get_args(form) for member in members(part))
    return (NOTHING,) if form is None else (form,)


@lru_cache(maxsize=4096)
def item_of(form: Any) -> Any | None:
    """The T of `list[T]`; None for any other form."""
    arguments = get_args(form)
    return arguments[0] if get_origin(form) is list and arguments else None


@lru_cache(maxsize=4096)
def parts_of(form: Any) -> tuple[Any, ...]:
    """The A, B, … of `tuple[A, B, …]`; for any other form, the form alone."""
    return get_args(form) if get_origin(form) is tuple else (form,)


def accepts(target: Any, source: Any) -> bool:
    """Whether every value of form `source` is also one of form `target`."""
    return all(any(_fits(wide, narrow) for wide in members(target)) for narrow in members(source))


def describe(form: Any, name: Callable[[type], str] = lambda kind: kind.__name__) -> str:
    """`form` as a person writes it: `list[Query]`, `Publish | NeedsReview`, `(Evidence, Mood)`.

    Args:
        name: what a class is called.
    """
    if len(members(form)) > 1:
        return " | ".join(describe(member, name) for member in members(form))
    if form is None or form is NOTHING:
        return "None"
    if get_origin(form) is tuple:
        return f"({', '.join(describe(part, name) for part in parts_of(form))})"
    if (item := item_of(form)) is not None:
        return f"list[{describe(item, name)}]"
    return name(form) if isinstance(form, type) else str(form)


def message_types(form: Any) -> tuple[type, ...]:
    """Every class that values of `form` are made of."""
    found: list[type] = []
    for member in members(form):
        inner = get_args(member)
        if inner:
            found += [kind for part in inner for kind in message_types(part)]
        elif isinstance(member, type) and member is not NOTHING:
            found.append(member)
    return tuple(dict.fromkeys(found))


def is_instance(value: Any, form: Any) -> bool:
    """Whether `value` is one of `form`; every item of a list is looked at."""
    for member in _known_members(form):
        item = item_of(member)
        if member is Any:
            return True
        if item is not None:
            if isinstance(value, list) and all(is_instance(one, item) for one in value):
                return True
        elif isinstance(value, member):
            return True
    return False


@lru_cache(maxsize=4096)
def _known_members(form: Any) -> tuple[Any, ...]:
    """`members` for where their order does not matter."""
    return members(form)


def _fits(wide: Any, narrow: Any) -> bool:
    if wide is Any or wide == narrow:
        return True
    wide_item, narrow_item = item_of(wide), item_of(narrow)
    if wide_item is not None and narrow_item is not None:
        return accepts(wide_item, narrow_item)
    if get_origin(wide) is tuple and get_origin(narrow) is tuple:
        pairs = list(zip(parts_of(wide), parts_of(narrow), strict=False))
        return len(parts_of(wide)) == len(parts_of(narrow)) and all(accepts(*pair) for pair in pairs)
    return isinstance(wide, type) and isinstance(narrow, type) and issubclass(narrow, wide)
