"""Starts the window. The order:

1. QApplication, the theme's font and style sheet: from here on a sentence can be shown.
2. The data folder, which must be writable; the lock, which makes this the only window on it. A second start hands over
   what it was to open, and ends here. The marker from which the next start knows how this run ended.
3. Settings, then the services (engine, chats, tasks, memory sampler): objects only, nothing runs yet.
4. The window with the chat page, shown. Nothing before this line reads a model, a chat or more than two small files.
5. After the first paint: the child that loads the last model, the memory sampler, the models page and its look at the
   disk. The settings page is made when it is first wanted.
6. At the end the window hides at once; the child saves the open conversation's KV cache and ends, the chats are
   written, the lock is given back. All of it is bounded.
"""

from __future__ import annotations

import os
import sys

from app.diagnostics.last_run import Run
from app.errors import StorageError
from app.settings import load_settings
from app.system.data_folder import adopt
from app.system.paths import default_paths
from ui.errors import ExceptHook
from ui.look.icons import icon
from ui.look.theme import ThemeWatcher
from ui.program import Program
from ui.startup.application import (
    HINT,
    Application,
    EndSignals,
    display_problem,
    fatal_as_sentence,
    leave_to_other,
    open_log,
    refuse,
    tell_failed_start,
)
from ui.startup.restore import file_of_argument
from ui.startup.single_instance import Claim, SingleInstance, Visit


def main(argument: str = "") -> int:
    """Open the window, with the model file that `argument` names if any; returns the exit code when it has closed."""
    if problem := display_problem(os.environ):
        print(problem, HINT, file=sys.stderr)
        return 1
    with fatal_as_sentence():
        application = Application()
    hook = ExceptHook()
    hook.caught.connect(tell_failed_start)
    hook.install()
    file = file_of_argument(argument)
    try:
        paths = default_paths().ensure()
        instance = SingleInstance(paths.home)
        claim = instance.claim(file)
        if claim is not Claim.FIRST:
            return leave_to_other(claim, paths.home)
        folder_notice = adopt(paths)
    except StorageError as error:
        return refuse(error.sentence, error.hint)
    log = open_log(paths)
    with Run(paths) as run:
        theme = ThemeWatcher(application, load_settings(paths.settings).theme)
        application.setWindowIcon(icon("bird", "accent", 64))
        program = Program(paths, theme)
        hook.caught.disconnect(tell_failed_start)
        hook.caught.connect(program.window.show_failure)
        signals = EndSignals(program)
        signals.received.connect(program.window.close_now)
        instance.raise_requested.connect(program.window.raise_to_front)
        instance.visited.connect(program.receive)
        application.file_opened.connect(lambda path: program.receive(Visit(file=path)))
        program.window.closed.connect(instance.stop_answering)
        program.show(file, run.bad_end, (folder_notice,))
        code = application.exec()
        signals.close()
    instance.release()
    log.close()
    return code
