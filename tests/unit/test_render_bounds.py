"""Rendering is bounded in time, memory and size, whatever a template tries."""

from __future__ import annotations

import resource
import signal
import threading
import time
from typing import Any

import pytest

from agent.errors import ManifestInvalid, Place
from agent.manifest.bounds import Bounds, OverTime
from tests.unit.test_render import LOOP, NAMES, PLACE, renderer, value, wrong

MUCH = "it takes more memory than rendering may; is there a huge repetition?"
LONG = "a number this long is not computed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ range(10**9) | list }}", "Range too big."),
        ("{{ 'x' * 10**9 }}", MUCH),
        ("{{ 'x' | center(10**9) }}", MUCH),
        ("{{ 'x'.ljust(10**9) }}", MUCH),
        ("{{ '{:>999999999}'.format(1) }}", MUCH),
        ("{{ '%999999999d' % 1 }}", MUCH),
        ("{{ '%999999999d' | format(1) }}", MUCH),
        ("{{ 'a\nb' | indent(10**9) }}", MUCH),
        ("{{ range(100000) | join('x' * 10000) }}", MUCH),
        ("{{ [1] | batch(10**9, 0) | list }}", MUCH),
        ("{{ {'a': 1} | tojson(indent=10**9) }}", MUCH),
        ("{{ {'a': [1]} | to_json(10**9) }}", MUCH),
        ("{{ 'x' | replace('x', 'y' * 10**9) }}", MUCH),
        ("{% set n = namespace(x='xx') %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}{% endfor %}", MUCH),
        ("{% set n = namespace(x='xx') %}{% for i in range(40) %}{% set n.x = n.x + n.x %}{% endfor %}", MUCH),
        ("{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}", "it "),
        ("{{ 10**(10**10) }}", LONG),
        ("{{ (10**4000) * (10**4000) * (10**4000) * 10 }}", LONG),
        ("{{ 1.5 | round(10**9, 'ceil') }}", LONG),
        ("{{ ('f' * 10**6) | int(base=16) // 3 }}", LONG),
        ("{{ ('f' * 10**6) | int(base=16) }}", LONG),
        (LOOP, "it ran longer than 1 s; is there a loop that never ends?"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "it includes or calls itself without end"),
        ("{% include 'self' %}", "it includes or calls itself without end"),
        ("{{ 'x' * (17 * 2**20) }}", "it renders to more than 16 MiB"),
        ("{{ ['x' * (9 * 2**20), 'x' * (9 * 2**20)] }}", "it renders to more than 16 MiB"),
        ("{% for i in range(20) %}{{ 'x' * 2**20 }}{% endfor %}", "it renders to more than 16 MiB"),
    ],
)
def test_everything_is_bounded(text: str, message: str) -> None:
    limits, started = resource.getrlimit(resource.RLIMIT_AS), time.process_time()
    seconds = 10 if message == MUCH else 1  # a slow machine takes its time to reach the bound of memory
    assert wrong(text, value_seconds=seconds).startswith(message)
    assert time.process_time() - started < seconds + 2
    assert resource.getrlimit(resource.RLIMIT_AS) == limits
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert value("{{ vars.port }}") == 80, "the next value has bounds of its own"


def test_what_is_rendered_for_another_counts_as_part_of_it() -> None:
    inner = renderer()

    class Slow(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return inner.value(LOOP, NAMES, Place("inner", 1))

    started = time.process_time()
    with pytest.raises(ManifestInvalid) as caught:
        renderer().value("{{ vars.slow }}", {"vars": Slow(slow=1)}, PLACE)
    assert time.process_time() - started < 1.8
    assert caught.value.problems[0].place.file == "inner"


def test_many_values_rendered_for_one_have_its_bound_together() -> None:
    outer = renderer()

    class Brief(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return outer.value("{{ range(2000) | sum }}", NAMES, PLACE)

    started = time.process_time()
    with pytest.raises(ManifestInvalid, match="it ran longer than"):
        outer.value("{% for a in range(99999) %}{{ vars.brief }}{% endfor %}", {"vars": Brief(brief=1)}, PLACE)
    assert time.process_time() - started < 1.8


def test_a_host_has_a_bound_of_its_own_in_all() -> None:
    slow = renderer(host_seconds=0.5)
    for _ in range(9):  # the clock of the timer ticks more coarsely than the one that is read
        with pytest.raises(ManifestInvalid):
            slow.value(LOOP, NAMES, PLACE)
    with pytest.raises(ManifestInvalid, match=r"rendering for this host took more than 0\.5 s in all"):
        slow.value("{{ vars.port }}", NAMES, PLACE)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_is_lost_comes_again() -> None:
    class Deaf:
        def __del__(self) -> None:
            end = time.process_time() + 0.3
            while time.process_time() < end:
                pass

    with pytest.raises(OverTime), Bounds(value_seconds=0.1).one_value():  # noqa: PT012
        Deaf()
        end = time.process_time() + 3
        while time.process_time() < end:
            pass


def test_outside_the_main_thread_values_are_rendered_too() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(value("{{ vars.port }}")))
    thread.start()
    thread.join()
    assert found == [80]
