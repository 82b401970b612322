"""What a scenario makes before its load, and no figure has.

It is made in a process of its own: the generator's processes are forked before anything runs on
the event loop of theirs.
"""

import importlib
import json
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

import gevent  # type: ignore[import-untyped]

from workloads.errors import CannotRunError, summary
from workloads.plan import Plan
from workloads.report.live import LiveView


def run(name: str, plan: Plan, view: LiveView) -> Plan:
    """Let `name` (`module:function`) make what users need; it joins the plan's parameters.

    The function gets the plan and a callback for progress (done, all), and returns what users
    have to know by name. Raises `CannotRunError` if it could not be made.
    """
    view.phase("setting up", None)
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        _child(name, plan, theirs)
    os.close(theirs)
    gevent.sleep(0.01)  # gevent closes when its loop comes round: else the pipe would never end
    answer: dict[str, Any] = {"error": "the process ended without a word"}
    try:
        with os.fdopen(ours) as pipe:
            for line in pipe:
                answer = json.loads(line)
                if "done" in answer:
                    view.progress(answer["done"], answer["all"])
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.waitpid(pid, 0)
    if "made" not in answer:
        said = answer.get("error", "the process was ended")
        raise CannotRunError(f"setting up {plan.scenario}: {said}")
    return plan.model_copy(update={"parameters": plan.parameters | answer["made"]})


def named(name: str) -> Any:
    """Import what is named as `module:thing`."""
    module, _, thing = name.partition(":")
    return getattr(importlib.import_module(module), thing)


def _child(name: str, plan: Plan, out: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    with os.fdopen(out, "w", buffering=1) as pipe:

        def say(**answer: Any) -> None:
            print(json.dumps(answer), file=pipe)

        def progress(done: int, whole: int) -> None:
            if done % 10 == 0:
                say(done=done, all=whole)

        make: Callable[[Plan, Callable[[int, int], None]], dict[str, Any]] = named(name)
        try:
            say(made=make(plan, progress))
        except CannotRunError as error:
            say(error=str(error))
        except Exception as error:
            say(error=summary(error))
    os._exit(0)
