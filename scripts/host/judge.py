# SPDX-License-Identifier: GPL-2.0
"""What came of the tests: the kernel's own KTAP parser, the complaints on a console,
and the skips that are allowed.  Everything that says passed, failed or skipped of a
guest says it here.

judge.py LOG [PATTERN...] does it with the log of a kernel that says both, as kunit.py's do; tests
whose names match PATTERN may be skipped.
"""
import fnmatch
import os
import re
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
for tree in "testing", "linux":	# the latter first
    sys.path.insert(0, os.path.join(TOP, "build", tree, "tools/testing/kunit"))

# What a console must not say, as an extended regular expression
with open(os.path.join(os.path.dirname(__file__), "complaints.re"), encoding="ascii") as complaints:
    COMPLAINTS = re.compile(rf"^.*(?:{complaints.read().strip()}).*$", re.M)


def read(path):
    with open(path, errors="replace", encoding="utf-8") as file:
        return file.read()


def complaint(console):
    """The first line with which a kernel complains, or None"""
    found = COMPLAINTS.search(console)
    return found and found[0].strip()


# Of what a test of the selftest harness says, this says nothing new.
NOISE = re.compile(r"^# +(RUN|OK|FAIL) |: Test (terminated by assertion|failed$)")


def show(lines):
    """What belongs to the last check: run.sh shows it"""
    for line in lines:
        print(f"    {line}")


def leaves(test, path=""):
    name = f"{path}.{test.name}" if path else test.name
    if not test.subtests:
        yield name, test
    for subtest in test.subtests:
        # The document itself has no name
        yield from leaves(subtest, name if test.name != "main" else "")


def parse(ktap):
    """(name, status, reason to skip, what it said) of each test, and how often the plan was not
    kept"""
    import kunit_parser
    from kunit_printer import null_printer

    main = kunit_parser.parse_run_tests(ktap.splitlines(), null_printer)
    tests = [(name, test.status.name, test.skip_reason, test.log) for name, test in leaves(main)
             if test is not main]
    return tests, main.counts.errors


class Results:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, good, why=""):
        print(f"{'ok' if good else 'not ok'} - {name}{'' if good or not why else f' # {why}'}")
        self.passed += bool(good)
        self.failed += not good
        return good

    def skip(self, name, why):
        # What run.sh shows
        print(f"ok - {name} # SKIP {why}")
        self.skipped += 1

    def totals(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return self.passed > 0 and self.failed == 0

    def console(self, prefix, text, version):
        """version: as the kernel that was built calls itself, or another was booted"""
        said = complaint(text) or (version not in text and f"nothing of {version}")
        good = self.check(f"{prefix}console", not said, f"the kernel says: {said}")
        if not good:
            show((text[text.find(said):] if said in text else text[-2000:]).splitlines()[:20])
        return good

    def ktap(self, prefix, text, may_skip=(), must_run=None):
        """may_skip: patterns of names.  must_run: what this boot is for, if given; what is for
        others is skipped and not counted, but must not fail."""
        tests, errors = parse(text)
        for name, status, reason, said in tests:
            if status == "SUCCESS":
                self.check(prefix + name, True)
            elif status != "SKIPPED":
                self.check(prefix + name, False, status.lower())
                # KUnit's words among those of the kernel
                first = next((n for n, line in enumerate(said) if " FAILED at " in line), 0)
                show(line for line in said[first:] if not NOISE.search(line))
            elif any(fnmatch.fnmatch(name, pattern) for pattern in may_skip):
                self.skip(prefix + name, reason)
            elif must_run is not None and name not in must_run:
                continue
            else:
                self.check(prefix + name, False, f"must not be skipped: {reason}")
        ran = {name for name, status, *_ in tests if status == "SUCCESS"}
        for name in sorted(set(must_run or ()) - {name for name, *_ in tests}):
            self.check(prefix + name, False, "is not there")
        if errors or not ran:
            self.check(f"{prefix}plan", False,
                       f"{errors} errors of KTAP, {len(ran)} tests passed: did the guest end early?")
            show(text.splitlines()[-10:])


def main():
    results = Results()
    text = read(sys.argv[1])
    results.console("", text, "Linux version")
    results.ktap("", text, sys.argv[2:])
    return results.totals()


if __name__ == "__main__":
    sys.exit(not main())
