"""`bin/dev`: the command line of the development stack."""

import argparse
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from tools import leftovers
from tools.errors import CannotStart
from tools.stack import PROJECT, Options, Stack, StopAsked
from tools.var import VarFolder

STOP_SECONDS = 60
_terminal = threading.Lock()


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit code: 0 done or stopped, 1 not started, 2 wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.port <= 65533:
        parser.error("--port must be from 1 to 65533 (the two ports after it are used as well)")
    options = Options(
        host=chosen.host,
        port=chosen.port,
        is_fresh=chosen.fresh,
        with_demo=not chosen.no_demo,
        is_detached=chosen.in_background,
    )
    try:
        var = VarFolder(Path(os.environ.get("SHOP_VAR") or PROJECT / "var"))
        if chosen.stop:
            return _stop(var)
        if chosen.detach:
            return _detach(var, sys.argv[1:] if arguments is None else arguments)
        return _serve(var, options)
    except CannotStart as reason:
        print(f"\n{reason}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(
            f"\n{error.filename or 'A file'} cannot be read or written by this user. Was the shop "
            "started by another? Give the folder to one user, or name another in SHOP_VAR.",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        print("\nThe disk is full. Free some space, then run this again.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bin/dev",
        description="Start the whole shop on this machine: Postgres, Valkey, web, realtime, "
        "worker, relay, and a stand-in for Stripe. Ctrl-C stops it.",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8000,
        help="the shop's port; the two after it are used as well (default 8000)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="delete all data first, and ask nothing"
    )
    parser.add_argument("--no-demo", action="store_true", help="leave the demo shop out")
    parser.add_argument("--detach", action="store_true", help="return as soon as the shop is ready")
    parser.add_argument(
        "--stop", action="store_true", help="stop the shop that runs in this folder"
    )
    parser.add_argument("--in-background", action="store_true", help=argparse.SUPPRESS)
    return parser


def _serve(var: VarFolder, options: Options) -> int:
    """Run the stack in this process until it is asked to stop."""
    with var.lock():
        stack = Stack(var, options, say=_print, echo=_ignore if options.is_detached else _print)

        def ask(_number: int, _frame: FrameType | None) -> None:
            stack.is_stop_asked = True

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, ask)
        try:
            stack.run()
        except StopAsked:
            return 0
        finally:
            stack.stop()


def _detach(var: VarFolder, arguments: list[str]) -> int:
    """Start the stack in a process of its own and wait until it is ready."""
    with var.lock():
        pass
    log = var.open_log("dev")
    rest = [argument for argument in arguments if argument != "--detach"]
    with log.open("ab") as output:
        begins_at = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "tools", *rest, "--in-background"],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _follow(var, process, log, begins_at)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return 1


def _follow(var: VarFolder, process: subprocess.Popen[bytes], log: Path, shown: int) -> int:
    """Show what the stack says until it is ready or gone."""
    while True:
        code = process.poll()
        record = var.read_record()
        is_ready = record is not None and record.is_ready and record.supervisor.pid == process.pid
        with log.open("rb") as output:
            output.seek(shown)
            words = output.read()
        shown += len(words)
        if words:
            _print(words.decode(errors="replace").rstrip("\n"))
        if code is not None:
            return code or 1
        if is_ready:
            _print("It runs in the background; bin/dev --stop ends it.")
            return 0
        time.sleep(0.1)


def _stop(var: VarFolder) -> int:
    """Ask the running stack to stop, and wait for it."""
    record = var.read_record()
    if not var.is_locked():
        if record and leftovers.end(record.children):
            var.delete_record()
            print("The shop had been killed; what it left running is ended now.")
        else:
            print(f"No shop is running in {var.path}.")
        return 0
    if record is None or not record.supervisor.is_alive():
        raise CannotStart(
            f"A shop is just starting or ending in {var.path}. Try again in a few seconds."
        )
    os.kill(record.supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while var.is_locked():
        if time.monotonic() > deadline:
            leftovers.end([record.supervisor, *record.children])
            break
        time.sleep(0.1)
    print("Stopped")
    return 0


def _print(line: str) -> None:
    with _terminal:
        try:
            print(line, flush=True)
        except OSError:
            # The terminal is gone; the logs still have it.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _ignore(_line: str) -> None:
    """The lines of the programs are in their logs already."""


if __name__ == "__main__":
    sys.exit(main())
