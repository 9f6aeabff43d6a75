#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Do those that judge the tests see a failure?  Each gets good and bad input here."""
import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "scripts/host"))

import cost
import drm
import judge
import vm

GOOD = """KTAP version 1
1..3
ok 1 one
ok 2 two # SKIP no such thing here
    KTAP version 1
    # Subtest: three
    1..2
    ok 1 a
    ok 2 b
ok 3 three
"""
OURS = judge.Results()


def verdict(ktap, **which):
    results = judge.Results()
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            results.ktap("", ktap, **which)
        except Exception:
            return "died"
        return results.totals()


def test_ktap():
    allowed = {"may_skip": ["two"]}
    OURS.check("ktap: all passed", verdict(GOOD, **allowed) is True)
    for name, ktap, which in (
            ("a test failed", GOOD.replace("ok 1 one", "not ok 1 one"), allowed),
            ("a test of a suite failed", GOOD.replace("    ok 2 b", "    not ok 2 b"), allowed),
            ("a skip that is not allowed", GOOD, {}),
            ("another skip than the one allowed", GOOD.replace("ok 1 one", "ok 1 one # SKIP"), allowed),
            ("a test is not there", GOOD, {"must_run": {"four"}}),
            ("a test that must run was skipped", GOOD, {"must_run": {"one", "two"}}),
            ("a test that is not for this failed", GOOD.replace("ok 1 one", "not ok 1 one"),
             {"must_run": {"three.a"}}),
            ("the guest ended early", "\n".join(GOOD.splitlines()[:3]), allowed),
            ("the guest ended before a suite did", "\n".join(GOOD.splitlines()[:-2]), allowed),
            ("everything was skipped", "KTAP version 1\n1..1\nok 1 one # SKIP\n", {"may_skip": ["*"]}),
            ("nothing was said", "", allowed),
            ("something else was said", "Hello\nok\n", allowed)):
        OURS.check(f"ktap: {name}", verdict(ktap, **which) is False)
    OURS.check("ktap: what is not for this boot may be skipped",
               verdict(GOOD, must_run={"one", "three.a"}) is True)

    import kunit_parser
    real, kunit_parser.parse_run_tests = kunit_parser.parse_run_tests, lambda *_: 1 / 0
    OURS.check("ktap: the parser dies", verdict(GOOD, **allowed) == "died")
    kunit_parser.parse_run_tests = real


def test_console():
    OURS.check("console: nothing to complain of", not judge.complaint(
        "Linux version 7.3\nBUGS: none\nWARN: x\nresource: fine\nRun /init as init process\n"))
    for line in ("Kernel panic - not syncing: x", "------------[ cut here ]------------",
                 "BUG: KASAN: use-after-free in x", "WARNING: possible circular locking", "INFO: task x blocked",
                 "UBSAN: array-index-out-of-bounds in x", "Call Trace:", "Call trace:",
                 "resource: Trying to free nonexistent resource <00-0f>",
                 "x86/PAT: x:1 freeing invalid memtype [mem 0x0-0x1]",
                 "x86/PAT: x:1 conflicting memory types 0 write-back<->uncached", "irq 11: nobody cared (try booting)",
                 "qxl 0000:00:02.0: PCI INT A: no GSI"):
        OURS.check(f"console: {line}", judge.complaint(f"[  1.0] fine\n[  1.1] {line}\n") is not None)
    with contextlib.redirect_stdout(io.StringIO()):
        right, wrong = (judge.Results().console("", "Linux version 7.3.4+ (gcc) #2 SMP\n", version)
                        for version in ("#2 SMP", "#1 SMP"))
    OURS.check("console: of the kernel that was built", right)
    OURS.check("console: of another kernel", not wrong)


def test_loses_writes(tmp):
    def loses(version):
        with open(f"{tmp}/qemu", "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\necho 'QEMU emulator version {version}'\n")
        os.chmod(file.name, 0o755)
        return vm.loses_writes(file.name)

    for version in "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "8.1.5":
        OURS.check(f"QEMU {version} loses writes", loses(version))
    for version in "8.2.0", "10.0.2 (Debian 1:10.0.2+ds-2)":
        OURS.check(f"QEMU {version} does not", not loses(version))


def test_incbin(tmp):
    def compiled(data):
        with open(f"{tmp}/data", "w", encoding="ascii") as file:
            file.write(data)
        # It would call itself for ever if it did not find its namesake
        subprocess.run(["bash", "-c", f". {TOP}/scripts/lib/kernel.sh; "
                        f"with_ccache timeout {20 * vm.SLOW} sh -c 'PATH={tmp}:$PATH; gcc -MD -c -o x.o x.S'"],
                       cwd=tmp, env={"PATH": os.environ["PATH"], "top": TOP, "CCACHE_DIR": f"{tmp}/ccache"},
                       check=False)
        return data in judge.read(f"{tmp}/x.o")

    for name, text in ("x.S", '.incbin "data"\n'), ("x.o", "none yet"):
        with open(f"{tmp}/{name}", "w", encoding="ascii") as file:
            file.write(text)
    OURS.check("ccache: a file in an object", compiled("the first"))
    OURS.check("ccache: another in its place", compiled("the other"))


def test_go_to(tmp):
    script = (f". {TOP}/scripts/lib/commit-tree.sh; work_tree() {{ :; }}; "
              "go_to x; echo go; sleep 1; go_to y; echo went")
    with open(f"{tmp}/said", "w+", encoding="ascii") as said:
        both = [subprocess.Popen(["bash", "-c", script], stdout=said, env={
            "PATH": os.environ["PATH"], "top": TOP, "build": tmp, "commit_tree": f"{tmp}/per-commit"}) for _ in range(2)]
        good = [process.wait() for process in both] == [0, 0]
        said.seek(0)
        OURS.check("go_to: one after the other", good and said.read().split() == 2 * ["go", "went"])


def test_noticed(tmp):
    """What mutate.sh takes for a test that has noticed a fault"""
    def noticed(text):
        with open(f"{tmp}/log", "w", encoding="ascii") as file:
            file.write(text)
        return subprocess.run(["bash", "-c", f"eval \"$(sed -n '/^noticed_by() {{/,/^}}/p' {TOP}/scripts/checks/mutate.sh)\"; "
                               f"noticed_by {tmp}/log"], stdout=subprocess.DEVNULL, check=False).returncode == 0

    for line in ("not ok - global.x # failure", "not ok - console # the kernel says: BUG: x", "ERROR: modpost: x undefined!",
                 "not ok - 1G: vfio.plan_b # failure"):
        OURS.check(f"mutate: noticed: {line}", noticed(f"ok - a\n{line}\n"))
    for line in ("fatal error: error writing to /tmp/x.s: No space left on device", "not ok - plan # 1 errors", "ok - global.x",
                 "not ok - 1G: end # no word of it for 5 s", "not ok - console # the kernel says: nothing of #1", ""):
        OURS.check(f"mutate: inconclusive: {line}", not noticed(f"ok - a\n{line}\n"))


def test_gdb(tmp):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp}/gdb")
        server.listen()
        gdb = drm.Gdb(f"{tmp}/gdb")
        server.accept()[0].shutdown(socket.SHUT_WR)
        try:
            died = not gdb.call(b"?")
        except OSError:
            died = True
        OURS.check("gdb: ends when QEMU does", died)


class Copy:
    """scripts/ in a place of its own, with stages of our making"""

    def __init__(self, tmp, name):
        self.top = os.path.join(tmp, name)
        shutil.copytree(f"{TOP}/scripts", f"{self.top}/scripts")

    def stage(self, name, text):
        path = f"{self.top}/scripts/{name}.sh"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/bash\n{text}\n")
        os.chmod(path, 0o755)

    def start(self, *stages, before=()):
        # What runs in a script's background ignores SIGINT, under nohup SIGHUP, and so does a bash below
        return subprocess.Popen(
            [*before, f"{self.top}/scripts/run.sh", *stages], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL)
                                for number in (signal.SIGINT, signal.SIGHUP)])

    def run(self, *stages, before=()):
        process = self.start(*stages, before=before)
        return process.communicate()[0], process.returncode


def test_run(tmp):
    copy = Copy(tmp, "run")
    copy.stage("good", "echo '2 passed, 0 failed, 1 skipped'; echo 'ok - x # SKIP because'")
    copy.stage("first", "echo '2 passed, 0 failed, 1 skipped'")
    copy.stage("skips", "echo '1 passed, 0 failed, 6 skipped'; echo 'ok - z # SKIP other'\n"
               "for i in a b c d e; do echo \"ok - $i # SKIP none\"; done")
    copy.stage("says nothing", "true")
    copy.stage("only skips", "echo '0 passed, 0 failed, 1 skipped'")
    copy.stage("dies", "echo '2 passed, 0 failed, 0 skipped'; exit 1")
    copy.stage("lies", "echo '2 passed, 1 failed, 0 skipped'")
    copy.stage("fails", "false")
    copy.stage("is killed", "echo '2 passed, 0 failed, 0 skipped'; kill -KILL 0")
    out, status = copy.run("good", "first")
    OURS.check("run.sh: good stages", status == 0 and "4 passed, 0 failed, 2 skipped" in out)
    OURS.check("run.sh: shows what was skipped", "skipped: x: because" in out)
    OURS.check("run.sh: a line for each reason to skip",
               "    skipped: z: other\n    skipped: a, b, c and 2 more: none\n" in copy.run("skips")[0])
    OURS.check("run.sh: a stage with more arguments than a name of a file has room for",
               copy.run("good" + ":argument" * 40)[1] == 0)
    for name in "dies", "lies", "fails", "is killed", "says nothing", "only skips":
        out, status = copy.run("good", name, "good")
        OURS.check(f"run.sh: a stage that {name}", status != 0 and "FAILED" in out and
                   out.count("2 passed, 0 failed, 1 skipped") == 2 and ", 1 failed, " in out)
        out, status = copy.run("+first", "good", f"+{name}", "good")
        OURS.check(f"run.sh: a stage that {name}, beside another", status != 0 and "FAILED" in out and
                   out.count("2 passed, 0 failed, 1 skipped") == 3 and ", 1 failed, " in out)
    OURS.check("run.sh: a stage that is not there", copy.run("nothing")[1] != 0)
    OURS.check("run.sh: a stage beside others that is not there", copy.run("+nothing", "good")[1] != 0)
    copy.stage("waits", f"timeout {10 * vm.SLOW} sh -c 'until [ -e {copy.top}/now ]; do sleep 0.1; done' && echo 1 passed, 0 failed, 0 skipped")
    copy.stage("allows", f"touch {copy.top}/now; echo 1 passed, 0 failed, 0 skipped")
    OURS.check("run.sh: beside means at the same time", copy.run("+waits", "allows")[1] == 0)
    os.unlink(f"{copy.top}/now")
    OURS.check("run.sh: two that are left run at the same time, too", copy.run("+waits", "+allows")[1] == 0)
    copy.stage("slow", "sleep 2; echo '1 passed, 0 failed, 0 skipped'")
    out = copy.run("+first", "slow")[0]
    OURS.check("run.sh: reports what runs beside when it ends", 0 <= out.find("first") < out.find("slow"))
    copy.stage("named", "echo 'ok - a'; echo unsaid; echo 'not ok - b&<c> # why'; echo ' 41 == 42'; echo 'ok - d # SKIP x'\n"
               "echo unsaid; echo '1 passed, 1 failed, 1 skipped'; exit 1")
    out = copy.run("named", "good")[0]
    OURS.check("run.sh: says what failed, and no more", "not ok - b&<c> # why\n     41 == 42\n" in out and "unsaid" not in out)
    suites = xml.etree.ElementTree.parse(f"{copy.top}/build/results.xml").getroot()
    cases = {case.get("name"): [element.tag for element in case] for case in suites[0]}
    OURS.check("run.sh: results.xml", cases == {"a": [], "b&<c>": ["failure"], "d": ["skipped"]} and len(suites) == 2)
    OURS.check("run.sh: summary.md", "\n    not ok - b&<c> # why\n" in judge.read(f"{copy.top}/build/summary.md"))
    OURS.check("run.sh: a plan in the log", judge.read(f"{copy.top}/build/logs/named.log").endswith("\n1..3\n"))


def test_run_ends(tmp):
    """Stages that do not end, and those whose end can be missed"""
    copy = Copy(tmp, "run-limit")
    copy.stage("good", "echo '2 passed, 0 failed, 0 skipped'")
    with open(f"{copy.top}/scripts/run.sh", "r+", encoding="utf-8") as file:
        text = file.read().replace("limit=$((7200 * slow))", "limit=1")
        file.seek(0)
        file.write(text)
        file.truncate()
    copy.stage("does not end", "sleep 1000")
    out, status = copy.run("does not end", "good")
    OURS.check("run.sh: a stage that does not end", status != 0 and "takes more than 1 s" in out and "2 passed" in out)
    name, last_pid = "run.sh: another process gets the number of a stage that has ended", "/proc/sys/kernel/ns_last_pid"
    # In a namespace of its own, where it takes a number from nobody else
    apart = ["unshare", *([] if os.getuid() == 0 else ["-r"]), "-pf", "--mount-proc", "--propagation", "unchanged"]
    if subprocess.run([*apart, "sh", "-c", f"echo 1000 > {last_pid}"], stderr=subprocess.DEVNULL, check=False).returncode:
        OURS.skip(name, f"cannot write {last_pid} in a namespace of its own")
        return
    copy = Copy(tmp, "run-reuses")
    copy.stage("ends", f"echo 1 passed, 0 failed, 0 skipped; echo $PPID > {copy.top}/pid")
    copy.stage("reuses", f"until read -r pid < {copy.top}/pid; do :; done 2>/dev/null\n"
               f"while [ $SECONDS -lt 2 ]; do echo $((pid - 1)) > {last_pid}; done; echo 1 passed, 0 failed, 0 skipped")
    OURS.check(name, copy.run("+ends", "reuses", before=apart)[1] == 0)


def test_unchanged(tmp):
    """A stage with a ~: not run again until something has changed"""
    copy = Copy(tmp, "unchanged")
    tree = f"{copy.top}/build/linux"
    git = ["git", "-C", tree, "-c", "user.name=t", "-c", "user.email=t@localhost"]
    copy.stage("slow", f"echo >> {copy.top}/build/runs; echo '2 passed, 0 failed, 1 skipped'")
    os.makedirs(tree)
    for args in (["init", "-q", "-b", "pci-shmem-bar"], ["commit", "-q", "--allow-empty", "-m", "x"], ["tag", "pristine"]):
        subprocess.run([*git, *args], check=True)

    def runs(stage="~slow"):
        out, status = copy.run(stage)
        return len(judge.read(f"{copy.top}/build/runs")), status == 0 and "2 passed, 0 failed, 1 skipped" in out

    OURS.check("unchanged: the first time", runs() == (1, True))
    OURS.check("unchanged: not again", runs() == (1, True))
    OURS.check("unchanged: nor beside others", runs("+~slow") == (1, True))
    with open(f"{copy.top}/README.md", "w", encoding="ascii"):
        OURS.check("unchanged: nor with another page", runs() == (1, True))
    OURS.check("unchanged: again without a ~", runs("slow") == (2, True))
    OURS.check("unchanged: again after that", runs() == (3, True))
    copy.stage("other", "true")
    OURS.check("unchanged: again with another file in scripts/", runs() == (4, True))
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "y"], check=True)
    OURS.check("unchanged: again with another commit", runs() == (5, True))
    with open(f"{tree}/new", "w", encoding="ascii"):
        OURS.check("unchanged: again with a change in the tree", runs() == (6, True))
    OURS.check("unchanged: and again", runs() == (7, True))
    os.unlink(f"{tree}/new")
    copy.stage("slow", f"echo >> {copy.top}/build/runs; echo '1 passed, 1 failed, 0 skipped'")
    OURS.check("unchanged: again if it has failed", [runs()[0], runs()[0]] == [8, 9])


def alive(path):
    try:
        return " Z " not in judge.read(f"/proc/{int(judge.read(path))}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition):
    for _ in range(100 * vm.SLOW):
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_killed(tmp):
    for number, *stages in ((signal.SIGTERM, "long"), (signal.SIGINT, "+quick", "long"), (signal.SIGHUP, "long"),
                            (signal.SIGKILL, "long"), (signal.SIGTERM, "+long", "idle")):
        name = "-".join((number.name, *stages))
        copy = Copy(tmp, name)
        copy.stage("idle", "sleep 1000")
        copy.stage("quick", "echo '2 passed, 0 failed, 0 skipped'")
        pid = f"{copy.top}/pid"
        copy.stage("long", f"sleep 1000 & echo $! > {pid}.new; mv {pid}.new {pid}; wait")
        process = copy.start(*stages)
        if not OURS.check(f"{name}: started", wait_for(lambda: os.path.exists(pid))):
            continue
        if number == signal.SIGKILL:
            process.send_signal(number)
            process.wait()
            OURS.check("SIGKILL: locked as long as the stage runs", alive(pid) and
                       "another run is using" in copy.run("long")[0])
            os.kill(int(judge.read(pid)), signal.SIGTERM)
            continue
        if "+quick" in stages:
            status = f"{copy.top}/build/logs/quick.status"
            wait_for(lambda: os.path.exists(status) and os.path.getsize(status))
            # Not while run.sh reports it: bash 5.2 cannot take a signal while it parses a $()
            time.sleep(3)
        process.send_signal(number)
        ended = wait_for(lambda: process.poll() is not None)
        OURS.check(f"{name}: leaves no process", ended and process.returncode != 0 and
                   wait_for(lambda: not alive(pid)))
        if "+quick" in stages:
            out = process.stdout.read()
            OURS.check(f"{name}: totals", "2 passed, 0 failed, 0 skipped" in out.splitlines() and
                       "interrupted in long" in judge.read(f"{copy.top}/build/summary.md"))
        copy.stage("long", "echo '1 passed, 0 failed, 0 skipped'")
        OURS.check(f"{name}: leaves no lock", copy.run("long")[1] == 0)


def test_only_in(tmp):
    def only_in(after, before):
        for name, lines in ("after", after), ("before", before):
            with open(f"{tmp}/{name}", "w", encoding="ascii") as file:
                file.write("".join(f"{line}\n" for line in lines))
        return subprocess.run(["bash", "-c", f". {TOP}/scripts/lib/commit-tree.sh; only_in {tmp}/after {tmp}/before"],
                              env={"PATH": os.environ["PATH"], "top": TOP}, stdout=subprocess.PIPE,
                              check=True, text=True).stdout.split()

    OURS.check("only_in: nothing new", only_in("ab", "abc") == [])
    OURS.check("only_in: something new", only_in("abx", "abc") == ["x"])
    OURS.check("only_in: the same once more", only_in("aab", "abc") == ["a"])


def test_bench():
    def exceeded(changed=()):
        results = judge.Results()
        with contextlib.redirect_stdout(io.StringIO()):
            cost.check(results, {**good, **dict(changed)})
        return results.failed

    ways = "helper", "by_hand", "pcim_helper", "devm"
    good = {f"kernel.{pages}.{size}.{way}": 10000 for pages in ("1G", "2M") for size in cost.SIZES for way in ways}
    good.update({f"{what}.64M.{how}.all": count for how in ("read", "write")
                 for what, count in (("sample", 15), ("resource2_wc", 100))})
    good.update({"sample.64G.sparse": 5, "resource2_wc.64G.sparse": 10000,
                 "sample.2M.read.all": 100, "resource2_wc.2M.read.all": 100})
    good.update({f"sample.{size}.read.{what}": count for size in ("1G", "8G", "64G")
                 for what, count in (("touch", 110), ("again", 100))})
    OURS.check("bench: nothing is exceeded", exceeded() == 0)
    for name, count in (("kernel.1G.4K.pcim_helper", 10006), ("kernel.2M.64G.pcim_helper", 10006),
                        ("kernel.1G.4G.helper", 10606), ("kernel.1G.64G.by_hand", 9425),
                        ("sample.64M.read.all", 16), ("resource2_wc.64M.write.all", 99),
                        ("sample.64G.sparse", 6), ("sample.8G.read.touch", 111), ("sample.2M.read.all", 101)):
        OURS.check(f"bench: {name} exceeds a limit", exceeded({name: count}) == 1)
    for pages in "1G", "2M":
        # Both are slower, so that only their growth is too much
        slow = exceeded({f"kernel.{pages}.64G.{way}": 23006 for way in ways})
        OURS.check(f"bench: growth with pages of {pages}", slow == (pages == "1G"))
    del good["sample.64M.read.all"]
    OURS.check("bench: a count is missing", exceeded() == 1)
    for name, one, other, alike in (("nothing differs", "| 1 234 | 0.5 |", "| 1 234 | 0.5 |", True),
                                    ("little differs", "| 1 000 |", "| 1 019 |", True),
                                    ("much differs", "| 1 000 |", "| 1 021 |", False),
                                    ("a word differs", "| a 1 000 |", "| b 1 000 |", False),
                                    ("a number more", "| 1 | 1 |", "| 1 | – |", False)):
        OURS.check(f"bench: {name}", cost.same(one, other, 0) is alike)


def main():
    test_ktap()
    test_console()
    test_bench()
    with tempfile.TemporaryDirectory() as tmp:
        test_run(tmp)
        test_run_ends(tmp)
        test_unchanged(tmp)
        test_killed(tmp)
        test_only_in(tmp)
        test_noticed(tmp)
        test_gdb(tmp)
        test_loses_writes(tmp)
        test_incbin(tmp)
        test_go_to(tmp)
    return OURS.totals()


if __name__ == "__main__":
    sys.exit(not main())
