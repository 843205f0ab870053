"""Ctrl-C is delayed to a safe point and is never lost."""

from __future__ import annotations

import signal
import threading

import pytest

from latentrl.utils.signals import held_interrupts


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
