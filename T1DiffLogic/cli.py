"""`t1diff …`: what was asked for, done; or one sentence that says why not.

Exit codes: 0 all done, 1 something failed and the message says what, 2 wrong usage.
Nothing heavy is imported here or in commands/ at file scope, so that `t1diff --help` is instant.
"""

from __future__ import annotations

import _thread
import argparse
import signal
import sys
import threading
import traceback
import warnings

from . import __version__
from .commands import (
    batch,
    benchmark,
    demo,
    evaluate,
    fit_t1,
    info,
    phantom,
    prepare,
    segment,
    synthesize,
    train,
)
from .errors import UsageError
from .progress import Reporter
from .sentences import quieten_libraries, sentence_of
from .study import RESEARCH_NOTICE

COMMANDS = (demo, synthesize, segment, batch, fit_t1, phantom, prepare, train, evaluate, benchmark, info)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="t1diff",
        description="Native T1 maps synthesised from short-axis cine MRI.",
        epilog=f"{RESEARCH_NOTICE}.",
    )
    parser.add_argument("--version", action="version", version=f"t1diff {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("how it speaks")
    group.add_argument(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help="a bar on stderr, one JSON line per event on stdout, or nothing (default: %(default)s)",
    )
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(subparsers, common)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; wrong usage and --help raise SystemExit (argparse)."""
    args = build_parser().parse_args(argv)
    reporter = Reporter(args.progress)
    try:
        with warnings.catch_warnings():
            if not args.debug:
                quieten_libraries()
            return args.run(args, reporter) or 0
    except (Exception, KeyboardInterrupt) as error:
        reporter.end_line()
        if args.debug:
            traceback.print_exc()
        message = sentence_of(error)
        reporter.event("error", message=message)
        print(f"t1diff: {message}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def entry() -> None:
    """The console script: main() with the process around it."""
    for stream in (sys.stdout, sys.stderr):
        # a terminal without Unicode gets question marks in place of an exception
        stream.reconfigure(errors="replace")
    heed_signals()
    code = main()
    # all is said and done: what is left to clean away needs no orderly stop, and no traceback
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.exit(code)


def heed_signals() -> None:
    """SIGTERM, by which Slicer and job schedulers stop a process, is as Ctrl-C; neither is lost."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook = _not_lost


def _interrupt(*_):
    raise KeyboardInterrupt


def _not_lost(unraisable) -> None:
    """Python drops what is raised in destructors and weakref callbacks; a stop that fell there comes back."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        again = threading.Timer(0.05, _thread.interrupt_main)
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)
