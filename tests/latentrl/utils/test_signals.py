"""Ctrl-C waits for a safe moment, and is never lost."""

from __future__ import annotations

import signal
import threading

import pytest

from latentrl.utils.signals import held_interrupts


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_waits_for_the_safe_moment() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupts() as raise_held:
        raise_held()
        press()
        done.append("step")
        raise_held()
        done.append("next step")
    assert done == ["step"]


def test_raised_at_the_end_at_the_latest() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        press()
        done.append("step")
    assert done == ["step"]


def test_second_press_does_not_wait() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        press()
        press()
        done.append("step")
    assert done == []


def test_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with held_interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_does_nothing_in_other_threads() -> None:
    done = []

    def work() -> None:
        with held_interrupts() as raise_held:
            raise_held()
            done.append("step")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["step"]
