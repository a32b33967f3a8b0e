"""A property that is worked out when somebody asks for it, and then remembered.

As functools.cached_property, which up to Python 3.11 takes a lock for each: longer than most of what it guards here.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - a decorator
    """Make a method such a property. It needs the instance's `__dict__`."""

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self._name = work_out.__name__
        self.__doc__ = work_out.__doc__

    def __get__(self, instance: object, owner: type) -> T:
        """Work it out; from then on the instance has it, and this is not asked again."""
        value = instance.__dict__[self._name] = self._work_out(instance)
        return value
