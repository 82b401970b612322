"""What a scenario makes before its load; it is in no figure.

It runs in a process of its own, as the generator's processes have to be forked before anything
runs on the event loop.
"""

import importlib
import json
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

import gevent  # type: ignore[import-untyped]

from workloads import CannotRunError, error_summary
from workloads.plan.plan import Plan
from workloads.report.live import LiveView


def run(name: str, plan: Plan, view: LiveView) -> Plan:
    """Call `name` (`module:function`) and add what it returns to the plan's parameters.

    It gets the plan and a callback for progress (done, all). Raises `CannotRunError` if it fails.
    """
    view.phase("setting up", None)
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        _child(name, plan, writer)
    os.close(writer)
    gevent.sleep(0.01)  # gevent closes when its loop comes round: else the pipe would never end
    answer: dict[str, Any] = {"error": "the process ended without an answer"}
    try:
        with os.fdopen(reader) as pipe:
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
        reason = answer.get("error", "the process was ended")
        raise CannotRunError(f"setting up {plan.scenario}: {reason}")
    return plan.model_copy(update={"parameters": plan.parameters | answer["made"]})


def named(name: str) -> Any:
    """Import what is named as `module:attribute`."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _child(name: str, plan: Plan, out: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    with os.fdopen(out, "w", buffering=1) as pipe:

        def say(**answer: Any) -> None:
            print(json.dumps(answer), file=pipe)

        def progress(made: int, total: int) -> None:
            if made % 10 == 0:
                say(done=made, all=total)

        make: Callable[[Plan, Callable[[int, int], None]], dict[str, Any]] = named(name)
        try:
            say(made=make(plan, progress))
        except CannotRunError as error:
            say(error=str(error))
        except Exception as error:
            say(error=error_summary(error))
    os._exit(0)
