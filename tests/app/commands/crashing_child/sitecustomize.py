"""Put on the path of a command under test: its child dies of SIGSEGV in its decodes, as broken kernels make it do.

CRASH_IN names the file that counts the deaths; CRASH_TIMES says after how many it goes well. In safe mode it always
does, unless CRASH_TIMES is "always".
"""

import os
import signal
from pathlib import Path

if os.environ.get("BANTAM_COMMAND_CHILD") and os.environ.get("CRASH_IN"):
    from app.engine import llama

    real_decode, real_init = llama.Context.decode, llama.Model.__init__
    repacked = {"now": True}

    def init(self, path, options, on_progress):
        repacked["now"] = options.repack
        real_init(self, path, options, on_progress)

    def decode(self, tokens, position):
        always = os.environ["CRASH_TIMES"] == "always"
        if repacked["now"] or always:
            with Path(os.environ["CRASH_IN"]).open("a", encoding="utf-8") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGSEGV)
        return real_decode(self, tokens, position)

    llama.Model.__init__ = init
    llama.Context.decode = decode
