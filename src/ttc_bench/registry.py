"""Registries that fill themselves: a thing is registered in the file that defines it.

A package such as ``ttc_bench.metrics`` owns one `Registry`; every module in it
registers what it defines with ``@registry.register("name")``, and the first look-up
imports the package's modules. Nobody keeps a list by hand.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from ttc_bench.errors import UserError
from ttc_bench.params import unknown

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A name -> object mapping that a package's own modules fill.

    Args:
        kind: What the objects are, in the words of an error message ("policy").
        packages: Dotted names of the packages whose modules register themselves.
    """

    def __init__(self, kind: str, *packages: str) -> None:
        self.kind = kind
        self._packages = packages
        self._items: dict[str, T] = {}
        self._complete = False
        self._failure: Exception | None = None

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers an object under ``name``.

        Raises:
            TypeError: If it is a class that lacks methods of its contract.
            ValueError: If ``name`` is taken by a different object.
        """

        def decorate(item: T) -> T:
            if lacking := sorted(getattr(item, "__abstractmethods__", ())):
                raise TypeError(f"{self.kind} {name!r} has no {', '.join(lacking)}")
            if name in self._items:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._items[name] = item
            return item

        return decorate

    def __getitem__(self, name: str) -> T:
        items = self._discover()
        if name not in items:
            raise UserError(unknown(self.kind, name, items))
        return items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._discover()))

    def __len__(self) -> int:
        return len(self._discover())

    def __contains__(self, name: object) -> bool:
        return name in self._discover()

    def _discover(self) -> dict[str, T]:
        # A second attempt would meet the names that a broken module registered before it broke,
        # and tell of those: the first cause is told again.
        if self._failure is not None:
            raise self._failure
        if not self._complete:
            try:
                for package in map(importlib.import_module, self._packages):
                    for module in pkgutil.iter_modules(package.__path__):
                        importlib.import_module(f"{package.__name__}.{module.name}")
            except Exception as error:
                self._failure = error
                raise
            self._complete = True
        return self._items
