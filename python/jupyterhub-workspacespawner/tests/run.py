"""Runs the tests beside this file, or those in files of the pattern that is given, and reports them in the format of Rust's test harness, which `./justw test` counts."""

import logging
import pathlib
import sys
import time
import unittest


class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.before = len(self.failures) + len(self.errors)

    def stopTest(self, test):
        super().stopTest(test)
        found = (self.failures + self.errors)[self.before :]
        print(f"test {test.id()} ... {'FAILED' if found else 'ok'}", flush=True)
        for _, trace in found:
            print(trace, flush=True)


here = pathlib.Path(__file__).parent
sys.path[:0] = [str(here), str(here.parent)]
# Refusals are what is tested; the server says each of them.
logging.disable(logging.CRITICAL)
result = Result()
begin = time.monotonic()
unittest.defaultTestLoader.discover(str(here), *sys.argv[1:2]).run(result)
failed = len({test.id().split(" ")[0] for test, _ in result.failures + result.errors})
passed = result.testsRun - failed
outcome = "FAILED" if failed else "ok"
print(f"test result: {outcome}. {passed} passed; {failed} failed; finished in {time.monotonic() - begin:.2f}s")
sys.exit(bool(failed) or not passed)
