"""Several processes of one command line side by side, where one with a single thread would leave cores idle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from bike.errors import ParamsError
from bike.workers.parent import end_with_parent

_PARENT = "BIKE_BESIDE"  # set in what is started here: the process that waits for it


def share_out(option: str, at_once: int, place: str) -> bool:
    """Start this command line once for each of the things that ``--option`` names, and wait for all of them.

    A stop asked of this process is handed on, so that each saves its state; should this process be killed, so are they.

    Args:
        option: its value holds names with blanks between them. Empty: nothing is shared out.
        at_once: how many processes may work at a time.
        place: what an argument has where the name goes, such as ``{heads}``, so that each has its own output.

    Returns:
        Whether it was done; not for one name, which the caller's own process is for.

    Raises:
        ParamsError: there are several names, and no argument has the place.
        SystemExit: with the status of the first of them that failed. The others were stopped.
    """
    if parent := os.environ.pop(_PARENT, ""):
        end_with_parent(int(parent))
    names = sys.argv[sys.argv.index(option) + 1].split() if option in sys.argv[:-1] else []
    if len(names) < 2:
        return False
    if not any(place in word for word in sys.argv):
        raise ParamsError(
            f"{option}: {len(names)} names, and no {place} in the arguments: all would be written to one place. Add it."
        )
    running: list[subprocess.Popen[str]] = []
    failed: list[int] = []

    def work(name: str) -> None:
        if failed:
            return
        place = len(sys.orig_argv) - len(sys.argv) + sys.argv.index(option) + 1
        words = [sys.executable, *sys.orig_argv[1:place], name, *sys.orig_argv[place + 1 :]]
        env = {**os.environ, _PARENT: str(os.getpid())}
        # A session of its own: Ctrl-C reaches this process, which hands it on, once.
        process = subprocess.Popen(
            words, stderr=subprocess.PIPE, text=True, errors="replace", env=env, start_new_session=True
        )
        running.append(process)
        if failed:  # meanwhile
            stop()
        for line in process.stderr or ():  # a pipe, as two bars of progress on one terminal could not be read
            say(line)
        if process.wait():
            if process.returncode < 0 and not failed:
                say(f"{option} {name}: killed by {signal.Signals(-process.returncode).name}.\n")
            failed.append(process.returncode)
            stop()

    def say(line: str) -> None:
        try:
            sys.stderr.write(line)
        except OSError:  # nobody reads any more: no reason to leave the work, nor to fail at Python's end
            with open(os.devnull, "w") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), sys.stderr.fileno())

    def stop() -> None:
        for process in running:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)

    with ThreadPoolExecutor(min(at_once, len(names))) as pool:
        try:
            for done in [pool.submit(work, name) for name in names]:
                done.result()
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):  # once more would cost the states that are being saved
                signal.signal(number, signal.SIG_IGN)
            failed.append(1)
            stop()
            raise
    if failed:
        sys.exit(failed[0] if failed[0] > 0 else 128 - failed[0])
    return True
