"""A power cut, for tests: on a process's path, it ends that process at the n-th rename of a file that fits.

``FAULTS_CUT`` holds ``<pattern>:<n>:<moment>``: the name of the file that is to be replaced, which rename of such a
file (1 is the first), and whether the process ends ``before`` it, ``half`` way through the writing, or right ``after``.
"""

import fnmatch
import os
import sys

if "FAULTS_CUT" in os.environ:
    pattern, number, moment = os.environ["FAULTS_CUT"].rsplit(":", 2)
    seen, is_due = 0, False

    def cut(event, arguments):
        global seen, is_due
        if is_due:
            os._exit(9)
        if event != "os.rename":
            return
        source, target = (os.fspath(path) for path in arguments[:2])
        if not source.endswith(".part") or not fnmatch.fnmatch(os.path.basename(target), pattern):
            return
        seen += 1
        if seen == int(number):
            if moment == "half":
                os.truncate(source, os.path.getsize(source) // 2)
            if moment != "after":
                os._exit(9)
            is_due = True

    sys.addaudithook(cut)
