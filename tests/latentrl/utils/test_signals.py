"""Ctrl-C, SIGTERM and SIGHUP are delayed to a safe point and are never lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from latentrl.utils.signals import ENDING, held_interrupts, orderly_interrupts


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    """Signals as in a new terminal: nohup ignores SIGHUP, which orderly interrupts respect."""
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_raised_at_the_safe_point() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupts() as raise_held:
        raise_held()
        press()
        done.append("step")
        raise_held()
        done.append("next step")
    assert done == ["step"]


def test_ctrl_c_is_raised_at_the_end_at_the_latest() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        press()
        done.append("step")
    assert done == ["step"]


def test_a_second_ctrl_c_is_not_delayed() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        press()
        press()
        done.append("step")
    assert done == []


def test_the_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with held_interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_hold_nothing_back() -> None:
    done = []

    def work() -> None:
        with held_interrupts() as raise_held:
            raise_held()
            done.append("step")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["step"]


@pytest.mark.parametrize("number", ENDING)
def test_signals_of_schedulers_interrupt_once_as_ctrl_c_does(number) -> None:
    before = [signal.getsignal(each) for each in ENDING]
    saved = []
    with pytest.raises(KeyboardInterrupt), orderly_interrupts():
        try:
            signal.raise_signal(number)
        finally:
            for again in ENDING:
                signal.raise_signal(again)
            saved.append("whole")
    assert saved == ["whole"]
    assert [signal.getsignal(each) for each in ENDING] == before


@pytest.mark.parametrize("number", ENDING)
def test_signals_of_schedulers_are_held_until_the_safe_point(number) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), orderly_interrupts():
        try:
            with held_interrupts() as raise_held:
                signal.raise_signal(number)
                done.append("step")
                raise_held()
        finally:
            signal.raise_signal(number)  # the first one started the saving
            done.append("saved")
    assert done == ["step", "saved"]


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with orderly_interrupts(), held_interrupts():
            signal.raise_signal(signal.SIGHUP)
    finally:
        assert signal.signal(signal.SIGHUP, before) is signal.SIG_IGN


def test_other_threads_keep_the_handlers() -> None:
    inside = []

    def work() -> None:
        with orderly_interrupts():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [signal.getsignal(signal.SIGTERM)]
