"""Everyday programs under `strict`, the default: nothing that they need is missing.  Run by: pytest.

`strict` because none of them executes what it has made; those that do are in test_real_builds.py.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

SHELL = r"""
n=0; for i in 1 2 3; do n=$((n + i)); done; echo "sum $n"
case abc in a*) echo case;; esac
f() { local x=$1; echo "f $x"; }; f 1
cat <<HERE
here $n
HERE
(exit 3) || echo "sub $?"
echo "$(printf 'a b c' | tr ' ' '\n' | wc -l)"
trap 'echo bye' EXIT
sleep 0.1 & wait $!; echo "waited $?"
set -- x y; shift; echo "$1 $#"
kill -0 $$ && echo alive
"""
SHELL_SAYS = "sum 6\ncase\nf 1\nhere 6\nsub 3\n2\nwaited 0\ny 1\nalive\nbye\n"

COREUTILS = r"""
cd /tmp
seq 20000 | sort -R | sort -n --parallel=2 -S 1M -T /tmp | tail -1
mkdir -p d/e; for i in 1 2 3; do echo $i > d/e/$i; done
cp -a d d2; cp -r --reflink=auto d d3; mv d3 d4; ln d/e/1 d/hard; ln -s e d/soft
find d2 -type f -print0 | xargs -0 -n1 -P4 cat | sort | paste -sd,
for z in z j J; do
  tar -c${z}f a.tar d; mkdir x; tar -x${z}f a.tar -C x; diff -r d x/d; rm -r x
done
echo tarred
dd if=/dev/zero of=block bs=1M count=8 status=none
split -n 4 block part.; cat part.?? | cmp - block && echo split
truncate -s 16M sparse; stat -c %s sparse
sha256sum block | cut -c1-8
chmod 640 block; touch -d 2020-01-02T03:04:05Z block; stat -c '%a %Y' block
install -m 755 block copy; stat -c %a copy
mkfifo fifo; echo through > fifo & cat fifo; wait
tee one two < d/e/1 > /dev/null; cmp one two
id -un; id -u; uname -n; pwd
timeout 0.2 sleep 5 || echo "timeout $?"
env -i A=1 env; nice -n 1 true; nohup true 2> /dev/null; stdbuf -oL echo buffered
head -c 1000 /dev/urandom | wc -c
flock block echo locked
echo 'b a' | awk '{print $2, $1}' | sed 's/a/A/'
rm -rf /tmp/*; ls -A /tmp | wc -l
df /tmp > /dev/null; du -s /tmp > /dev/null; ps ax > /dev/null; date > /dev/null
echo 'int x;' | grep -c int
"""
COREUTILS_SAYS = """\
20000
1,2,3
tarred
split
16777216
2daeb1f3
640 1577934245
755
through
box
1000
hardbox
/tmp
timeout 124
A=1
buffered
1000
locked
A b
0
1
"""

PYTHON = r"""
import hashlib, os, queue, socket, sqlite3, ssl, subprocess, tempfile, threading, zlib, lzma, ctypes, asyncio

done = queue.Queue()
threads = [threading.Thread(target=done.put, args=(n,)) for n in range(50)]
barrier = threading.Barrier(21)
together = [threading.Thread(target=barrier.wait) for n in range(20)]
for t in threads + together: t.start()
barrier.wait()
for t in threads + together: t.join()
print("threads", done.qsize())
print("child", subprocess.run(["sh", "-c", "cat; exit 3"], input=b"in", capture_output=True))
with sqlite3.connect("/tmp/x.db") as base:
    base.execute("pragma journal_mode=wal")
    base.execute("create table t (a)")
    base.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    print("sqlite", base.execute("select sum(a) from t").fetchone())
base.close()
context = ssl.create_default_context()
print("ssl", context.verify_mode.name, context.cert_store_stats()["x509_ca"])
with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
    file.write(b"x" * 100000); file.flush()
    print("tempfile", os.path.getsize(file.name), folder.startswith("/tmp/"))
print("hashlib", hashlib.sha256(b"a").hexdigest()[:8], len(hashlib.scrypt(b"a", salt=b"b", n=1024, r=8, p=1)))
server = socket.socket(socket.AF_UNIX); server.bind("/tmp/s"); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect("/tmp/s"); client.send(b"hello")
print("socket", server.accept()[0].recv(9))
async def echo():
    child = await asyncio.create_subprocess_exec("echo", "async", stdout=subprocess.PIPE)
    return (await child.communicate())[0]
print("asyncio", asyncio.run(echo()))
print("zlib", zlib.decompress(zlib.compress(b"z")), lzma.decompress(lzma.compress(b"l")))
pid = os.fork()
if pid == 0: os._exit(4)
print("fork", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print("libc", ctypes.CDLL(None).getpid() == os.getpid(), os.path.expanduser("~"))
"""
PYTHON_SAYS = """\
threads 50
child CompletedProcess(args=['sh', '-c', 'cat; exit 3'], returncode=3, stdout=b'in', stderr=b'')
sqlite (499500,)
ssl CERT_REQUIRED @
tempfile 100000 True
hashlib ca978112 64
socket b'hello'
asyncio b'async\\n'
zlib b'z' b'l'
fork 4
libc True /home/box
"""

PERL = r"""
use strict; use warnings; use POSIX; use Digest::SHA qw(sha256_hex); use File::Temp qw(tempfile);
$| = 1;
my ($file, $name) = tempfile(); print $file "x" x 10; close $file; print -s $name, "\n";
my $pid = fork; exit 3 unless $pid; waitpid $pid, 0; print $? >> 8, "\n";
print `echo child`, substr(sha256_hex("a"), 0, 8), "\n";
print join(",", sort { $a <=> $b } (3, 20, 1)), "\n";
"""

NODE = r"""
const { Worker } = require("worker_threads"), fs = require("fs"), crypto = require("crypto");
const { execFile } = require("child_process"), { promisify } = require("util");
(async () => {
  const workers = [1, 2, 3].map(n => new Promise((yes, no) => {
    const w = new Worker(
      'const w = require("worker_threads"); w.parentPort.postMessage(w.workerData * 14)',
      { eval: true, workerData: n });
    w.on("message", yes); w.on("error", no);
  }));
  console.log((await Promise.all(workers)).join());
  fs.mkdirSync("/tmp/a/b", { recursive: true });
  await fs.promises.writeFile("/tmp/a/b/c", "text");
  console.log(fs.readFileSync("/tmp/a/b/c", "utf8"), fs.statSync("/tmp/a/b/c").size);
  console.log(crypto.createHash("sha256").update("a").digest("hex").slice(0, 8));
  console.log((await promisify(crypto.pbkdf2)("a", "b", 1000, 16, "sha512")).length);
  console.log((await promisify(execFile)("echo", ["child"])).stdout.trim());
})();
"""


def test_sh(hardbox: Hardbox) -> None:
    faults.ran(hardbox("run", "--", "sh", "-eu", "-c", SHELL), SHELL_SAYS)


def test_coreutils_find_xargs_tar(hardbox: Hardbox) -> None:
    faults.ran(hardbox("run", "--", "sh", "-eu", "-c", COREUTILS), COREUTILS_SAYS)


def test_python(caller: Caller, hardbox: Hardbox) -> None:
    # The roots of trust inside are the host's; a bare system has none.
    count = 'import ssl; print(ssl.create_default_context().cert_store_stats()["x509_ca"], end="")'
    roots = faults.ran(caller.run("/usr/bin/python3", "-c", count))
    done = hardbox("run", "--", "python3", "-c", PYTHON)
    faults.ran(done, PYTHON_SAYS.replace("@", roots))


def test_perl(hardbox: Hardbox) -> None:
    # Part of every Debian: dpkg-dev needs it.
    faults.ran(hardbox("run", "--", "perl", "-e", PERL), "10\n3\nchild\nca978112\n1,3,20\n")


@pytest.mark.skipif(
    not (shutil.which("node") or "").startswith("/usr/"), reason="node is not installed below /usr"
)
def test_node(hardbox: Hardbox) -> None:
    faults.ran(hardbox("run", "--", "node", "-e", NODE), "14,28,42\ntext 4\nca978112\n16\nchild\n")


GIT = r"""
git init -q -b main repo; cd repo
git config user.name Test; git config user.email test@example.org
for i in 1 2 3; do echo $i > f$i; git add .; git commit -q -m "commit $i"; done
git log --format=%s
git checkout -q -b side HEAD~1; echo x > y; git add y; git commit -q -m side
git merge -q -m merged main
git gc -q --prune=now; git fsck --full --strict; git count-objects -v | grep ^in-pack
cd ..; git clone -q repo copy; cd copy
git log --oneline | wc -l; git status --short; git diff --stat HEAD~1 | tail -1
git stash list; git worktree add -q ../tree; git archive HEAD | tar t | wc -l
"""
GIT_SAYS = """\
commit 3
commit 2
commit 1
in-pack: 14
5
 1 file changed, 1 insertion(+)
4
"""


def test_git_on_a_local_repository(caller: Caller, hardbox: Hardbox, place: str) -> None:
    done = hardbox("run", "--write", f"{place}:/work", "--workdir", "/work", "--", "sh", "-eu", "-c", GIT)
    faults.ran(done, GIT_SAYS)
    # What git made is an ordinary repository of the caller's: git itself refuses those of others.
    said = faults.ran(caller.run("git", "-C", f"{place}/copy", "log", "--format=%an %s", "-1"))
    assert said == "Test merged\n"
    assert owners(place) == {(caller.uid, caller.gid)}


def test_gcc_compiles_but_strict_does_not_run_what_it_made(hardbox: Hardbox, place: str) -> None:
    script = """
    echo 'int main(void) { return 0; }' > /work/a.c
    gcc -O2 -g -o /work/a /work/a.c; readelf -h /work/a | grep -c ELF64
    /work/a || echo "status $?"
    """
    done = hardbox("run", "--write", f"{place}:/work", "--", "sh", "-eu", "-c", script)
    assert faults.ran(done) == "1\nstatus 126\n"
    assert "Permission denied" in done.stderr


def test_a_pipeline_with_redirections_of_the_caller(caller: Caller, program: Installed, place: str) -> None:
    box = program.hardbox
    script = f"""
    cd {place}; seq 1 1000 > in
    {box} run -- grep 7 < in | {box} run -- sort -rn 2> err | {box} run -- head -2 > out
    {box} run -- sh -c 'echo more; echo bad >&2; exit 5' >> out 2>> err || echo $?
    {box} run -- sh -c 'cat <&0; exit 0' < /dev/null
    {box} run -- sh -c 'echo "to stdin: $(cat)"' <<< here
    """
    done = caller.run("bash", "-eu", "-o", "pipefail", "-c", script)
    assert faults.ran(done) == "5\nto stdin: here\n"
    assert read(f"{place}/out") == "997\n987\nmore\n"
    assert read(f"{place}/err") == "bad\n"


def test_64_megabytes_go_through_unchanged(caller: Caller, program: Installed, place: str) -> None:
    size = 64 << 20
    block = os.urandom(1 << 20)
    data = faults.own(caller, f"{place}/in", block * (size >> 20))
    want = hashlib.sha256(block * (size >> 20)).hexdigest()
    box = program.hardbox
    # Pipes on both sides; a file on both sides; dd with large blocks.
    for script in (
        f"cat {data} | {box} run -- cat | sha256sum",
        f"{box} run -- cat < {data} > {place}/out; sha256sum < {place}/out",
        f"{box} run -- dd bs=4M status=none iflag=fullblock < {data} | sha256sum",
    ):
        assert faults.ran(faults.shell(caller, script)).split()[0] == want, script
    os.unlink(data)


def test_a_thousand_short_children(hardbox: Hardbox) -> None:
    script = "i=0; while [ $i -lt 1000 ]; do /bin/true || exit 9; i=$((i + 1)); done; echo $i"
    faults.ran(hardbox("run", "--", "sh", "-c", script), "1000\n")


def owners(path: str) -> set[tuple[int, int]]:
    """Give the owners of a whole tree."""
    found = {(os.lstat(path).st_uid, os.lstat(path).st_gid)}
    for name in faults.listing(path):
        status = os.lstat(os.path.join(path, name))
        found.add((status.st_uid, status.st_gid))
    return found


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
