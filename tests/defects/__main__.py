"""Run the cases and print what became of each: `python -m tests.defects [--write] [NAME ...]`.

With --write, into the page `docs/track-record.md` as well.
"""

import argparse
import signal
import sys

from tests.defects import page
from tests.defects.cases import Outcome, cases, track


def main(arguments: list[str]) -> int:
    """Print the tables; 1 if a verdict is not the one that a case has to get, 2 for bad names."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.defects", description="Run cases of the track record."
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="default: all cases")
    parser.add_argument("--write", action="store_true", help="into docs/track-record.md as well")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - {case.name for case in cases()}:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    chosen = [case for case in cases() if not options.names or case.name in options.names]
    outcomes: list[Outcome] = []
    with track() as running:
        for number, case in enumerate(chosen, 1):
            outcome = running.run(case)
            outcomes.append(outcome)
            print(f"{number}/{len(chosen)} {outcome.said}", file=sys.stderr, flush=True)
            if options.write:
                page.write([outcome])
    print(page.tables({outcome.case.name: page.row(outcome) for outcome in outcomes}))
    print(f"{len(outcomes)} runs took {sum(outcome.seconds for outcome in outcomes):.0f} s.")
    return 0 if all(outcome.expected for outcome in outcomes) else 1


if __name__ == "__main__":
    # A shell has what it starts in the background ignore Ctrl-C; servers are to end all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
