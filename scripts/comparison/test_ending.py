"""That a script which is told to end leaves nothing: python3 -m unittest discover scripts/comparison."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

TOURS = pathlib.Path(__file__).resolve().parent.parent / "tours"
WAIT_SECONDS = 30
# Starts a server that says what it is, and never that it is ready; or one that is held while it is told to end.
SCRIPT = """
import os, signal, sys, tempfile
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from ending import held, in_order
from local_ring import Server
with in_order("test"), tempfile.TemporaryDirectory(dir=sys.argv[2]):
    if sys.argv[3] == "held":
        with held():
            os.kill(os.getpid(), signal.SIGTERM)
            print("not yet", flush=True)
        print("never", flush=True)
    Server(["sleep", "60"], lambda server: print(server.process.pid, flush=True), 60)
"""


class Ending(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def begun(self, *words, prefix=()):
        line = [*prefix, sys.executable, "-c", SCRIPT, TOURS, self.folder.name, *words]
        script = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(script.kill)
        return script

    def test_a_server_that_is_not_ready_yet_and_files_are_gone_whichever_signal_ends_it(self):
        for number, name in ((1, "SIGHUP"), (2, "Ctrl-C"), (15, "SIGTERM")):
            script = self.begun("server")
            server = int(script.stdout.readline())
            script.send_signal(number)
            _, said = script.communicate(timeout=WAIT_SECONDS)
            self.assertEqual((script.returncode, said), (128 + number, f"test: ended by {name}\n"))
            self.assertRaises(ProcessLookupError, os.kill, server, 0)
            self.assertEqual(os.listdir(self.folder.name), [])

    def test_a_signal_counts_when_what_must_not_be_cut_in_two_is_over(self):
        script = self.begun("held")
        printed, _ = script.communicate(timeout=WAIT_SECONDS)
        self.assertEqual((script.returncode, printed), (128 + signal.SIGTERM, "not yet\n"))

    def test_who_is_not_to_hear_of_a_terminal_that_has_gone_does_not(self):
        script = self.begun("server", prefix=["nohup"])
        script.stdout.readline()
        script.send_signal(signal.SIGHUP)
        script.stdout.readline()
        self.assertIsNone(script.poll())
        script.terminate()
        script.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(script.returncode, 128 + signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
