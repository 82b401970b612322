"""The NFS server and the FUSE client: files as a program expects them, and nothing lost.

Both run as in a stack. The programs in quotes run in the client's container, as the tracking
server's user, in the mounted folder.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from infra.docker.artifact_mount import FUSE_CAPABILITIES
from infra.docker.nfs import EXPORT
from tests.images.disk import cut_power, disk_volume, format_disk, needs_root
from tests.images.nfs import OWNER, VOLUME, NfsClient, NfsServer
from tests.images.sandbox import LABEL, Sandbox, build, ends, execute, logs, wait_until

pytestmark = pytest.mark.plugins

MIB = 2**20


@pytest.fixture(scope="module")
def image(client: docker.DockerClient) -> str:
    return build(client, "nfs")


@pytest.fixture(scope="module")
def shared(sandbox: Sandbox, image: str) -> NfsServer:
    return NfsServer(sandbox, image).wait()


@pytest.fixture(scope="module")
def one(sandbox: Sandbox, mlflow_image: str, shared: NfsServer) -> NfsClient:
    return NfsClient(sandbox, mlflow_image, shared).wait()


@pytest.fixture(scope="module")
def other(sandbox: Sandbox, mlflow_image: str, shared: NfsServer) -> NfsClient:
    return NfsClient(sandbox, mlflow_image, shared).wait()


OPERATIONS = """
import errno, os
from pathlib import Path
os.mkdir("operations"); os.chdir("operations")
def raises(number, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError(call)
Path("a").write_text("hello"); assert Path("a").read_text() == "hello"
os.rename("a", "b"); assert os.listdir() == ["b"]
raises(errno.ENOENT, open, "a")
raises(errno.ENOTEMPTY, os.rmdir, "../operations")
raises(errno.ENAMETOOLONG, Path("x" * 256).touch)
# What is replaced or removed stays readable where it is open.
reader = open("b"); Path("c").write_text("new"); os.replace("c", "b")
assert (Path("b").read_text(), reader.read()) == ("new", "hello"); reader.close()
reader = open("b"); os.unlink("b"); assert not os.path.exists("b")
assert reader.read() == "new"; reader.close()
for _ in range(100):
    if os.listdir() == []: break
else: raise AssertionError(os.listdir())
descriptor = os.open("e", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
raises(errno.EEXIST, os.open, "e", os.O_CREAT | os.O_EXCL)
os.write(descriptor, b"abcdef"); os.pwrite(descriptor, b"XY", 2)
assert os.pread(descriptor, 10, 0) == b"abXYef"
os.ftruncate(descriptor, 3); os.fsync(descriptor)
assert os.pread(descriptor, 10, 0) == b"abX" and os.fstat(descriptor).st_size == 3
os.ftruncate(descriptor, 9); assert os.pread(descriptor, 10, 0) == b"abX" + bytes(6)
os.close(descriptor)
os.chmod("e", 0o640); os.utime("e", (1, 2.5)); found = os.stat("e")
assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o640, 10001, 10001)
assert (found.st_atime, found.st_mtime) == (1, 2.5)
with open("e", "a") as file: file.write("1")
with open("e", "a") as file: file.write("2")
assert Path("e").read_bytes()[-2:] == b"12"
with open("e", "w") as file: file.write("short")
assert Path("e").read_text() == "short"
os.symlink("e", "link"); assert (os.readlink("link"), Path("link").read_text()) == ("e", "short")
os.link("e", "hard"); assert os.stat("e").st_nlink == 2 and os.path.samefile("e", "hard")
# Who may not write a file can still have made it.
descriptor = os.open("r", os.O_CREAT | os.O_WRONLY, 0o444)
os.write(descriptor, b"x" * 5000); os.close(descriptor)
assert Path("r").read_bytes() == b"x" * 5000
directory = os.open(".", os.O_RDONLY); os.fsync(directory); os.close(directory)
assert os.statvfs(".").f_blocks > 0 and os.access("e", os.W_OK) and not os.access("e", os.X_OK)
# Writes here and there, read back while the file is open and after.
import random
random.seed(1); model = bytearray(3 << 20)
with open("random", "w+b", 0) as file:
    file.write(model)
    for turn in range(200):
        at, data = random.randrange(len(model) - 9000), random.randbytes(random.randrange(1, 9000))
        model[at:at + len(data)] = data; file.seek(at); file.write(data)
        if turn % 40 == 0: file.seek(0); assert file.read() == model
assert Path("random").read_bytes() == model
print("done")
"""


def test_files_behave_as_a_program_expects(one: NfsClient) -> None:
    assert one.python(OPERATIONS) == "done"


# What the mount tells the command beside it; these programs are none of its children.
MARK = """
import os
from pathlib import Path
mark = next(
    line.split("=", 1)[1]
    for process in Path("/proc").glob("[0-9]*/environ") if os.access(process, os.R_OK)
    for line in process.read_text().split("\\0") if line.startswith("NFS_DRAFTS=")
)
def give_name(draft, name):
    os.setxattr(draft, "user.nfs-mount.name", os.fsencode(name), os.XATTR_REPLACE)
"""

DRAFTS = """
import errno
os.mkdir("drafts"); os.chdir("drafts")
def draft(name, data=b""):
    path = f"{name}-{mark}"
    assert not os.path.exists(path)
    with open(path, "xb", 0) as file:
        assert os.path.exists(path)
        for at in range(0, len(data), 100_000): file.write(data[at:at + 100_000])
        os.fsync(file.fileno())
        assert os.fstat(file.fileno()).st_size == len(data)
    found = os.stat(path)
    assert (found.st_size, found.st_mode & 0o777, found.st_uid) == (len(data), 0o644, 10001)
    return path
big = os.urandom((3 << 20) + 5)
for name, data in ("empty", b""), ("small", b"hello"), ("big", big):
    path = draft(name, data)
    os.replace(path, name)
    assert not os.path.exists(path) and Path(name).read_bytes() == data
# Under its own name it is a file like any other.
path = draft("kept", b"hello")
os.chmod(path, 0o600); assert os.stat(path).st_mode & 0o777 == 0o600
os.truncate(path, 2); assert (os.stat(path).st_size, Path(path).read_bytes()) == (2, b"he")
os.link(path, "hard"); assert os.stat(path).st_nlink == 2
with open(path, "ab") as file: file.write(b"y")
assert Path("hard").read_bytes() == b"hey"
assert sorted(os.listdir()) == sorted(["empty", "small", "big", "hard", path])
os.unlink(path); os.unlink("hard"); assert not os.path.exists(path)
with open(path, "w+b", 0) as file:
    file.write(b"abc"); assert os.pread(file.fileno(), 9, 0) == b"abc"
os.replace(path, "small"); assert Path("small").read_bytes() == b"abc"
os.mkdir(path); assert os.path.isdir(path); os.rename(path, "folder"); os.rmdir("folder")
os.replace("small", path); assert Path(path).read_bytes() == b"abc"; os.replace(path, "small")
# Without its folder there is none: told at the latest when it is closed.
os.mkdir("gone"); folder = os.open("gone", os.O_RDONLY); os.rmdir("gone")
try:
    lost = os.open(f"lost-{mark}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=folder)
    os.write(lost, b"x"); os.close(lost)
except OSError as error: assert error.errno in (errno.ENOENT, errno.ESTALE), error
else: raise AssertionError("nothing told")
print(sorted(os.listdir()))
"""

LATER = """
import os, sys
os.chdir(sys.argv[1])
print([(name, os.stat(name).st_size) for name in sorted(os.listdir())])
"""


def test_drafts_are_files_as_soon_as_anybody_else_looks(one: NfsClient, other: NfsClient) -> None:
    assert one.python(MARK + DRAFTS) == "['big', 'empty', 'small']"
    assert other.python(LATER, "drafts") == f"[('big', {3 * MIB + 5}), ('empty', 0), ('small', 3)]"


NAMED = """
import errno
def refused(number, call, *given):
    try: call(*given)
    except OSError as error: assert error.errno == number, error
    else: raise AssertionError("nothing told")
os.mkdir("named"); os.chdir("named")
big = os.urandom((3 << 20) + 5)
for name, data in ("empty", b""), ("small", b"before"), ("big", big), ("small", b"hello"):
    before = open(name, "rb", 0) if os.path.exists(name) else None
    path = f"{name}-{mark}"
    with open(path, "xb", 0) as file:
        for at in range(0, len(data), 100_000): file.write(data[at:at + 100_000])
        give_name(file.fileno(), name)
        assert not os.path.exists(path) and Path(name).read_bytes() == data
        assert os.fstat(file.fileno()).st_size == len(data)
    found = os.stat(name)
    assert (found.st_size, found.st_mode & 0o777, found.st_uid) == (len(data), 0o644, 10001)
    if before: assert before.read() == b"before"; before.close()
with open(f"offset-{mark}", "xb", 0) as file:
    file.seek(5); file.write(b"end"); give_name(file.fileno(), "offset")
    file.write(b"!"); os.fsync(file.fileno())
assert Path("offset").read_bytes() == bytes(5) + b"end!"
with open(f"synchronised-{mark}", "xb", 0) as file:
    file.write(b"a"); os.fsync(file.fileno()); file.write(b"b"); give_name(file.fileno(), "offset")
assert Path("offset").read_bytes() == b"ab"
with open(f"large-name-{mark}", "xb", 0) as file:
    file.write(b"x")
    for wrong in "", ".", "..", "a/b", file.name, "a" * 256:
        number = errno.ENAMETOOLONG if len(wrong) > 255 else errno.EINVAL
        refused(number, give_name, file.fileno(), wrong)
    os.mkdir("folder")
    refused(errno.EISDIR, give_name, file.fileno(), "folder")
    assert Path(file.name).read_bytes() == b"x", "it is there still"
    os.rmdir("folder"); os.unlink(file.name)
    refused(errno.ENOENT, give_name, file.fileno(), "unlinked")
# No other file can be named so, and no attribute is kept.
with open("small", "r+b") as file: refused(errno.EINVAL, give_name, file.fileno(), "other")
refused(errno.ENOTSUP, os.setxattr, "small", "user.x", b"1")
refused(errno.ENOTSUP, os.getxattr, "small", "user.x")
refused(errno.ENOTSUP, os.removexattr, "small", "user.x")
refused(errno.ENOTSUP, os.listxattr, "small")
with open(f"after-{mark}", "xb") as file: file.flush(); give_name(file.fileno(), "after")
os.unlink("after")
print(sorted(os.listdir()))
"""


def test_drafts_get_a_name_and_their_data_at_once(one: NfsClient, other: NfsClient) -> None:
    """What is replaced stays there for those who have it open."""
    assert one.python(MARK + NAMED) == "['big', 'empty', 'offset', 'small']"
    sizes = f"[('big', {3 * MIB + 5}), ('empty', 0), ('offset', 2), ('small', 5)]"
    assert other.python(LATER, "named") == sizes


MEMORY = """
import time
os.mkdir("memory"); os.chdir("memory")
def held():
    for status in Path("/proc").glob("[0-9]*/status"):
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if lines["Name"].strip() == "nfs-mount": return int(lines["VmRSS"].split()[0]) >> 10
before = held()
for number in range(15_000):
    with open(f"{mark}-{number}", "xb", 0) as file:
        file.write(b"x"); give_name(file.fileno(), "one")
time.sleep(2)
print(held() - before)
"""


def test_nothing_is_kept_of_drafts_that_have_their_names(
    sandbox: Sandbox, mlflow_image: str, shared: NfsServer
) -> None:
    """Some 3 KiB for each would be 40 MiB here."""
    client = NfsClient(sandbox, mlflow_image, shared).wait()
    grown = int(client.python(MARK + MEMORY))
    client.container.remove(force=True)
    assert grown < 20


BIG = """
import hashlib, os, sys
size, block, made = int(sys.argv[1]), os.urandom(1 << 20), hashlib.sha256()
with open("big", "wb", 0) as file:
    for number in range(size >> 20):
        part = number.to_bytes(8) + block[8:]
        made.update(part); file.write(part)
    os.fsync(file.fileno())
print(made.hexdigest())
"""

READ = """
import hashlib, sys
with open(sys.argv[1], "rb") as file: print(hashlib.file_digest(file, "sha256").hexdigest())
"""


def test_a_gibibyte_comes_back_through_another_client(one: NfsClient, other: NfsClient) -> None:
    made = one.python(BIG, str(1024 * MIB))
    assert other.python(READ, "big") == made
    one.python("import os; os.remove('big')")


MANY = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
os.makedirs("many", exist_ok=True)
def make(number):
    name = f"many/{sys.argv[1]}-{number}"
    with open(name + ".tmp", "wb") as file: file.write(number.to_bytes(4) * 1024)
    os.replace(name + ".tmp", name)
with ThreadPoolExecutor(4) as pool: list(pool.map(make, range(int(sys.argv[2]))))
"""

COUNT = """
import os, sys
names = os.listdir("many")
for name in names:
    if name.startswith(sys.argv[1]): continue
    with open("many/" + name, "rb") as file:
        assert file.read() == int(name.split("-")[1]).to_bytes(4) * 1024, name
print(len(names))
"""


def test_ten_thousand_small_files_of_two_clients_in_one_folder(
    one: NfsClient, other: NfsClient
) -> None:
    """Both write at the same time; each then lists all, and reads the other's."""
    with one.start(MANY, "one", "5000") as first, other.start(MANY, "other", "5000") as second:
        assert (first.communicate()[0], second.communicate()[0]) == ("", "")
    assert (one.python(COUNT, "one"), other.python(COUNT, "other")) == ("10000", "10000")


PUBLISH = """
import sys, time
os.mkdir(f"seen-{sys.argv[1]}"); os.chdir(f"seen-{sys.argv[1]}")
for size in range(1, 101):
    draft = f"{mark}-{size}" if sys.argv[1] == "named" else "file.tmp"
    with open(draft, "wb", 0) as file:
        file.write(b"x" * size)
        if sys.argv[1] == "named": give_name(file.fileno(), "file")
    if sys.argv[1] == "renamed": os.replace(draft, "file")
    print(size, time.time(), flush=True)
    time.sleep(0.02)
"""

WATCH = """
import errno, os, sys, time
size, folder = 0, f"seen-{sys.argv[1]}"
while size < 100:
    began = time.time()
    try: found, listed = os.stat(f"{folder}/file").st_size, "file" in os.listdir(folder)
    except FileNotFoundError: found, listed = 0, False
    if found:
        assert listed
        try: assert len(open(f"{folder}/file", "rb").read()) >= found
        # Replaced between opening and reading: the file that was opened is gone.
        except OSError as error: assert error.errno == errno.ESTALE, error
    print(found, began, flush=True)
    size = found
"""


@pytest.mark.parametrize("how", ["named", "renamed"])
def test_another_client_sees_a_file_at_once(one: NfsClient, other: NfsClient, how: str) -> None:
    """No look that began after the renaming finds the name missing, or the file before."""
    with other.start(WATCH, how) as watching:
        published = [line.split() for line in one.python(MARK + PUBLISH, how).splitlines()]
        looks = [line.split() for line in watching.communicate(timeout=180)[0].splitlines()]
    assert looks[-1][0] == "100"
    assert len(looks) > 100
    for size, moment in published:
        later = [int(found) for found, began in looks if float(began) > float(moment)]
        assert all(found >= int(size) for found in later)


REPLACE = """
import sys
os.mkdir("replaced"); os.chdir("replaced")
for number in range(int(sys.argv[1])):
    with open(f"{mark}-{number}", "wb", 0) as file:
        file.write(b"x" * (1 + number % 2))
        give_name(file.fileno(), "file")
Path("last").touch()
"""

LOOK_ON = """
import collections, errno, os
found = collections.Counter()
while not os.path.exists("replaced/last"):
    try:
        with open("replaced/file", "rb", 0) as file:
            # Beyond the end, and never in order: each of them asks the server.
            for at in (90 << 20, 40 << 20) * 50: found[os.pread(file.fileno(), 1, at)] += 1
    except OSError as error: found[errno.errorcode[error.errno]] += 1
del found["ENOENT"]
print(*sorted(map(str, found)), min(found.values()))
"""


def test_a_file_that_another_client_replaces_is_there_or_gone(
    one: NfsClient, other: NfsClient
) -> None:
    """The server's own trouble with what is just being replaced stays behind the mount."""
    with other.start(LOOK_ON) as looking:
        one.python(MARK + REPLACE, "6000")
        *found, least = looking.communicate(timeout=180)[0].split()
    assert found == ["ESTALE", "b''"]
    assert int(least) > 100


SLOW = """
import hashlib, os, sys, time
made = hashlib.sha256()
with open("slow", "wb", 0) as file:
    for number in range(int(sys.argv[1])):
        part = os.urandom(1 << 20)
        made.update(part); file.write(part)
        print(number, flush=True)
        time.sleep(0.01)
os.replace("slow", "slow-done")
print(made.hexdigest())
"""


def test_a_server_that_is_killed_during_a_write_loses_nothing(
    one: NfsClient, other: NfsClient, shared: NfsServer
) -> None:
    with one.start(SLOW, "200") as writing:
        assert writing.stdout is not None
        lines = []
        for line in writing.stdout:
            lines.append(line.strip())
            if lines[-1] in ("30", "120"):
                shared.restart()
    assert len(lines) == 201
    assert other.python(READ, "slow-done") == lines[-1]
    assert logs(one.container) == logs(other.container) == ""


UPLOADS = """
import sys, time
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
for number in range(300):
    draft = f"{mark}-{number}"
    with open(draft, "xb", 0) as file:
        file.write(number.to_bytes(4) * 1024)
        if sys.argv[1] == "named-uploads": give_name(file.fileno(), str(number))
        else: os.fsync(file.fileno())
    if sys.argv[1] == "renamed-uploads": os.replace(draft, str(number))
    print(number, flush=True)
    time.sleep(0.005)
"""

UPLOADED = """
import os, sys
os.chdir(sys.argv[1])
for number in range(300):
    assert open(str(number), "rb").read() == number.to_bytes(4) * 1024
print(len(os.listdir()))
"""


@pytest.mark.parametrize("how", ["named-uploads", "renamed-uploads"])
def test_small_uploads_outlive_a_server_that_is_killed(
    one: NfsClient, other: NfsClient, shared: NfsServer, how: str
) -> None:
    """The server makes and writes each in one request, which may have to be sent again."""
    with one.start(MARK + UPLOADS, how) as uploading:
        assert uploading.stdout is not None
        lines = []
        for line in uploading.stdout:
            lines.append(line.strip())
            if lines[-1] in ("40", "120", "200"):
                shared.restart()
    assert len(lines) == 300
    assert other.python(UPLOADED, how) == "300"


REWRITE = """
import hashlib, os, sys, time
parts = [b""] * 3
with open("again", "wb", 0) as file:
    for number in range(int(sys.argv[1])):
        place = number % 3
        parts[place] = os.urandom(1 << 20)
        file.seek(place << 20); file.write(parts[place])
        print(number, flush=True)
        time.sleep(0.02)
os.replace("again", "slow-done")
print(hashlib.sha256(b"".join(parts)).hexdigest())
"""


def test_what_was_overwritten_does_not_come_back_after_a_restart(
    one: NfsClient, other: NfsClient, shared: NfsServer
) -> None:
    with one.start(REWRITE, "90") as writing:
        assert writing.stdout is not None
        lines = []
        for line in writing.stdout:
            lines.append(line.strip())
            if lines[-1] in ("4", "40"):
                shared.restart()
    assert other.python(READ, "slow-done") == lines[-1]


@pytest.fixture
def own(sandbox: Sandbox, image: str) -> Iterator[NfsServer]:
    """A server that a test may harm."""
    server = NfsServer(sandbox, image, host="own-nfs")
    yield server
    server.container.remove(force=True)


def test_a_server_that_is_down_at_first_is_waited_for_and_then_named(
    sandbox: Sandbox, mlflow_image: str, own: NfsServer
) -> None:
    own.container.stop(timeout=10)
    waiting = NfsClient(sandbox, mlflow_image, own, timeout=30)
    hasty = NfsClient(sandbox, mlflow_image, own, timeout=2)
    status, said = ends(hasty.container)
    assert status == 1
    assert said.startswith("nfs-mount: the NFS server own-nfs:2049 ")
    assert said.count("\n") == 1
    own.container.start()
    assert waiting.wait().python("print('up')") == "up"


def test_another_network_cannot_mount(
    sandbox: Sandbox, client: docker.DockerClient, mlflow_image: str, shared: NfsServer
) -> None:
    elsewhere = client.networks.create(f"{sandbox.name}-elsewhere", labels={LABEL: sandbox.name})
    elsewhere.connect(shared.container, aliases=["nfs"])
    try:
        stranger = sandbox.client.containers.create(
            mlflow_image,
            ["true"],
            user="0:0",
            network=elsewhere.name,
            cap_drop=["ALL"],
            cap_add=list(FUSE_CAPABILITIES),
            devices=["/dev/fuse"],
            environment={"NFS_SERVER": "nfs", "NFS_EXPORT": EXPORT, "NFS_TIMEOUT": "5"},
            labels={LABEL: sandbox.name},
        )
        stranger.start()
        status, said = ends(stranger)
        assert (status, said.count("\n")) == (1, 1)
        assert "does not give /artifacts" in said
    finally:
        elsewhere.disconnect(shared.container)


STATUS = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try: status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
    except FileNotFoundError: continue
    name, uid = status["Name"].strip(), status["Uid"].split()[0]
    print(name, uid, *(status[f"Cap{kind}"].strip().lstrip("0") or "0" for kind in ("Prm", "Eff")))
"""

KILL = "20"


def test_only_the_mount_is_made_with_privileges(one: NfsClient, shared: NfsServer) -> None:
    processes = {line.split()[0]: line.split()[1:] for line in one.python(STATUS).splitlines()}
    assert processes["sleep"] == ["10001", "0", "0"]
    assert processes["nfs-mount"] == ["0", KILL, KILL]
    # The two programs may come to have any process id.
    server = "grep -l '^ganesha.nfsd$' /proc/[0-9]*/comm | sed 's/comm$/status/' | xargs cat"
    served = shared.container.exec_run(["sh", "-c", server])
    assert b"0000000000000006" in served.output, "DAC_OVERRIDE and DAC_READ_SEARCH"
    refused = execute(shared.container, "unshare", "--user", "true")
    assert "Operation not permitted" in refused.stderr


def test_nothing_is_left_of_a_killed_client(
    sandbox: Sandbox, mlflow_image: str, shared: NfsServer
) -> None:
    client = NfsClient(sandbox, mlflow_image, shared).wait()
    program = "open('left', 'wb').write(b'x'); print(1); import time; time.sleep(60)"
    with client.start(program) as writing:
        assert writing.stdout is not None
        assert writing.stdout.readline() == "1\n"
        pids = {int(row[1]) for row in client.container.top()["Processes"]}
        assert len(pids) == 4, "init, nfs-mount, sleep and the program"
        client.container.kill("SIGKILL")
        client.container.wait(timeout=180)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "fuse.nfs" not in Path("/proc/mounts").read_text()


def test_a_stopped_client_ends_in_order(
    sandbox: Sandbox, mlflow_image: str, shared: NfsServer
) -> None:
    program = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); signal.pause()"
    client = NfsClient(sandbox, mlflow_image, shared, "python3", "-c", program).wait()
    wait_until(lambda: "python3" in str(client.container.top()), 120, "the command runs")
    time.sleep(0.5)
    client.container.stop(timeout=20)
    assert client.container.wait(timeout=5)["StatusCode"] == 7


@needs_root
def test_an_acknowledged_file_survives_a_power_failure(
    sandbox: Sandbox, mlflow_image: str, image: str, tmp_path: Path
) -> None:
    """Its data and its name; what nobody synchronised is the control."""
    disk = tmp_path / "disk"
    format_disk(disk, 256 * MIB, OWNER)
    with disk_volume(sandbox, disk) as name:
        server = NfsServer(sandbox, image, host="disk-nfs", volume=name).wait()
        client = NfsClient(sandbox, mlflow_image, server).wait()
        made, named = client.python(MARK + KEPT).split()
        control = execute(server.container, "sh", "-c", f"echo held-back > {VOLUME}/control")
        assert control.returncode == 0, control.stderr
        cut_power(disk, server.container)
        client.container.remove(force=True)
        server.container.start()
        client = NfsClient(sandbox, mlflow_image, server.wait()).wait()
        assert client.python(READ, "kept/1/deep/file") == made
        assert client.python(READ, "kept/1/deep/named") == named
        left = execute(server.container, "cat", f"{VOLUME}/control").stdout
        client.container.remove(force=True)
        server.container.remove(force=True)
    assert left == ""


KEPT = """
import hashlib
os.makedirs("kept/1/deep")
data = os.urandom(20_000_000)
with open("kept/1/deep/.file", "wb") as file: file.write(data)
os.replace("kept/1/deep/.file", "kept/1/deep/file")
print(hashlib.sha256(data).hexdigest())
os.chdir("kept/1/deep")
with open(f"draft-{mark}", "xb", 0) as file:
    file.write(data[:4096])
    give_name(file.fileno(), "named")
print(hashlib.sha256(data[:4096]).hexdigest())
"""
