"""Facts about `docker.Container`."""

from .fact import Fact


def _replaced(setting: str, first: str, then: str) -> Fact:
    says = f"a change of `{setting}` replaces the container"
    return Fact(name=f"{setting}-changes", says=says, first=first, then=then, change="replace")


def _updated(setting: str, first: str, then: str) -> Fact:
    says = f"a change of `{setting}` is made in place"
    return Fact(name=f"{setting}-changes", says=says, first=first, then=then, change="update")


def _in_vain(setting: str, how: str, first: str, then: str) -> Fact:
    says = f"`{setting}` {how}: said to be an update in place, the container stays as it was"
    name = f"{setting}-{how.replace(' ', '-')}"
    return Fact(name=name, says=says, first=first, then=then, change="in vain")


def _kept(setting: str, first: str, then: str = "") -> Fact:
    says = f"`{setting}` left out altogether is no change: the container keeps it"
    return Fact(name=f"{setting}-left-out", says=says, first=first, then=then, change="none")


def _order(setting: str, first: str, then: str) -> Fact:
    says = f"the order of `{setting}` does not count"
    return Fact(name=f"{setting}-order", says=says, first=first, then=then)


def _same(name: str, says: str, first: str) -> Fact:
    return Fact(name=name, says=says, first=first)


CHANGES = (
    _replaced("name", 'name=named("one")', 'name=named("two")'),
    _replaced("image", "", "image=IMAGE_ID"),
    _replaced("command", "", 'command=["sleep", "601"]'),
    _replaced("entrypoints", 'entrypoints=["/bin/sh"]', 'entrypoints=["/bin/bash"]'),
    _replaced("envs", 'envs=["A=1"]', 'envs=["A=2"]'),
    _replaced("user", 'user="1000"', 'user="1001"'),
    _replaced("groupAdds", 'group_adds=["1", "2"]', ""),
    _replaced("workingDir", 'working_dir="/tmp"', 'working_dir="/"'),
    _replaced("hostname", 'hostname="a"', 'hostname="b"'),
    _replaced("domainname", 'domainname="a"', ""),
    _replaced(
        "labels",
        "",
        'labels=marked("Container")',
    ),
    _replaced("tty", "", "tty=True"),
    _replaced("stdinOpen", "", "stdin_open=True"),
    _replaced("stopSignal", 'stop_signal="SIGINT"', 'stop_signal="SIGTERM"'),
    _replaced("stopTimeout", "stop_timeout=5", "stop_timeout=6"),
    _replaced("uploads", 'uploads=[upload("/etc/x")]', 'uploads=[upload("/etc/x", "l")]'),
    _replaced("networkMode", 'network_mode="none"', ""),
    _replaced(
        "networksAdvanced",
        'networks_advanced=[join(NETS[0], aliases=["a"])]',
        'networks_advanced=[join(NETS[0], aliases=["b"])]',
    ),
    _replaced("ports", "ports=[port(80, 18001)]", "ports=[port(80, 18002)]"),
    _replaced("publishAllPorts", "", "publish_all_ports=True"),
    _replaced("dns", 'dns=["192.0.2.1"]', ""),
    _replaced("dnsOpts", 'dns_opts=["ndots:1"]', ""),
    _replaced("dnsSearches", 'dns_searches=["a"]', ""),
    _replaced("hosts", 'hosts=[A.ContainerHostArgs(host="a", ip="192.0.2.1")]', ""),
    _replaced("readOnly", "", "read_only=True"),
    _replaced("volumes", 'volumes=at("/a")', 'volumes=at("/b")'),
    _replaced("mounts", "mounts=[mount()]", 'mounts=[mount(), mount("/mnt")]'),
    _replaced("shmSize", "shm_size=32", "shm_size=33"),
    _replaced("devices", 'devices=[A.ContainerDeviceArgs(host_path="/dev/null")]', ""),
    _replaced(
        "capabilities",
        'capabilities=caps(adds=["CAP_KILL"])',
        'capabilities=caps(adds=["CAP_CHOWN"])',
    ),
    _replaced(
        "securityOpts",
        'security_opts=["no-new-privileges:true"]',
        'security_opts=["no-new-privileges:false"]',
    ),
    _replaced("privileged", "", "privileged=True"),
    _replaced("sysctls", 'sysctls={"net.ipv4.ip_unprivileged_port_start": "80"}', ""),
    _replaced(
        "ulimits",
        'ulimits=[A.ContainerUlimitArgs(name="nofile", soft=1024, hard=2048)]',
        'ulimits=[A.ContainerUlimitArgs(name="nofile", soft=1024, hard=2049)]',
    ),
    _replaced("pidMode", 'pid_mode="host"', ""),
    _replaced("ipcMode", 'ipc_mode="host"', 'ipc_mode="private"'),
    _replaced("usernsMode", 'userns_mode="host"', ""),
    _replaced("cpus", 'cpus="1.5"', 'cpus="1.0"'),
    _replaced("logDriver", 'log_driver="json-file"', 'log_driver="none"'),
    _replaced("logOpts", 'log_opts={"max-size": "1m"}', 'log_opts={"max-size": "2m"}'),
    _updated("restart", "", 'restart="unless-stopped"'),
    _updated(
        "maxRetryCount",
        'restart="on-failure", max_retry_count=2',
        'restart="on-failure", max_retry_count=3',
    ),
    _updated("memory", "memory=64, memory_swap=128", "memory=256, memory_swap=128 * 4"),
    _updated("memorySwap", "memory=64, memory_swap=128", "memory=64, memory_swap=-1"),
    _updated("memoryReservation", "memory_reservation=32", "memory_reservation=33"),
    _updated("cpuShares", "cpu_shares=512", "cpu_shares=513"),
    _updated("cpuSet", 'cpu_set="0"', 'cpu_set="0,1"'),
    _updated("start", "", "start=True"),
    _updated("mustRun", "start=True, must_run=True", "start=True, must_run=False"),
    _updated("wait", "", "wait=True"),
    _updated("waitTimeout", "", "wait_timeout=5"),
    _updated("attach", "start=True", "start=True, attach=True"),
    _updated(
        "logs",
        "start=True, command=['true'], attach=True",
        "start=True, command=['true'], attach=True, logs=True",
    ),
    _updated("removeVolumes", "", "remove_volumes=False"),
    _updated("destroyGraceSeconds", "", "destroy_grace_seconds=5"),
    _updated(
        "containerReadRefreshTimeoutMilliseconds",
        "",
        "container_read_refresh_timeout_milliseconds=1000",
    ),
    _in_vain(
        "healthcheck",
        "changes",
        'healthcheck=health(interval="1s")',
        'healthcheck=health(interval="2s")',
    ),
    _in_vain("healthcheck", "is added", "", "healthcheck=health()"),
    _in_vain("init", "changes", "init=True", "init=False"),
    _in_vain("tmpfs", "changes", 'tmpfs={"/tmp": "size=8m"}', 'tmpfs={"/tmp": "size=9m"}'),
    _in_vain("rm", "changes", "", "rm=True"),
    _in_vain("mounts", "has another item", "mounts=[mount()]", 'mounts=[mount("/mnt")]'),
    _in_vain("cpuPeriod", "changes", "cpu_period=50000", "cpu_period=50001"),
    _in_vain("cpuQuota", "changes", "cpu_quota=20000", "cpu_quota=20001"),
    _in_vain("memory", "is left out", "memory=64, memory_swap=128", ""),
    _in_vain("memoryReservation", "is left out", "memory_reservation=32", ""),
    _in_vain("cpuShares", "is left out", "cpu_shares=512", ""),
    _in_vain("cpuSet", "is left out", 'cpu_set="0"', ""),
    _kept("command", "", "command=None"),
    _kept("entrypoints", 'entrypoints=["/bin/sh"]'),
    _kept("envs", 'envs=["A=1"]'),
    _kept("user", 'user="1000"'),
    _kept("workingDir", 'working_dir="/tmp"'),
    _kept("hostname", 'hostname="a"'),
    _kept("init", "init=True"),
    _kept("healthcheck", "healthcheck=health()"),
    _kept("stopSignal", 'stop_signal="SIGINT"'),
    _kept("stopTimeout", "stop_timeout=5"),
    _kept("shmSize", "shm_size=32"),
    _kept("securityOpts", 'security_opts=["no-new-privileges:true"]'),
    _kept("ipcMode", 'ipc_mode="host"'),
    _kept("logDriver", 'log_driver="none"'),
)

READ_BACK = (
    _same(
        "duration-in-Gos-form",
        "a duration in Go's form is read back as it is",
        'healthcheck=health(interval="2s", timeout="500ms", start_period="3m0s")',
    ),
    Fact(
        name="duration-in-another-form",
        says="a duration is read back in Go's form: `180s` as `3m0s`",
        first='healthcheck=health(start_period="180s")',
        shows="healthcheck",
        bundled="must be written as Docker gives it back, 3m0s",
    ),
    _same(
        "memory-and-swap",
        "memory with its swap is read back as given",
        "memory=64, memory_swap=128",
    ),
    _same("swap-unlimited", "unlimited swap is read back as -1", "memory=64, memory_swap=-1"),
    Fact(
        name="memory-alone",
        says="memory without swap: Docker makes `memorySwap` twice the memory, which is read back",
        first="memory=64",
        shows="memorySwap",
    ),
    _same(
        "memory-alone-and-swap-ignored",
        "memory without swap is no change with ignore_changes of `memorySwap`",
        'memory=64, opts=pulumi.ResourceOptions(ignore_changes=["memorySwap"])',
    ),
    _same(
        "capability-full-name",
        "a capability is read back with CAP_",
        'capabilities=caps(drops=["ALL"], adds=["CAP_CHOWN"])',
    ),
    Fact(
        name="capability-short-name",
        says="a capability without CAP_ gets it, which is read back by a refresh",
        first='capabilities=caps(drops=["ALL"], adds=["CHOWN"])',
        shows="capabilities",
        bundled="must be ALL or a name such as CAP_NET_BIND_SERVICE",
    ),
    Fact(
        name="capability-in-small-letters",
        says="a capability in small letters is read back in capitals",
        first='capabilities=caps(drops=["all"])',
        shows="capabilities",
        bundled="must be ALL or a name such as CAP_NET_BIND_SERVICE",
    ),
    Fact(
        name="capabilities-empty",
        says="capabilities that are neither added nor dropped are read back as none",
        first="capabilities=caps()",
        shows="capabilities",
        bundled="'capabilities' must add or drop one",
    ),
    _same("cpus-with-a-decimal", "CPUs are read back with a decimal", 'cpus="2.0"'),
    *(
        Fact(
            name=f"cpus-{written}",
            says=f"CPUs are read back with one decimal at least and no 0 after it: not `{written}`",
            first=f"cpus={written!r}",
            shows="cpus",
            bundled="must be a number of CPUs such as 1.5 or 2.0",
        )
        for written in ("2", "1.50", ".5")
    ),
    _same("shm-size", "the size of /dev/shm is read back in MiB", "shm_size=32"),
    Fact(
        name="shm-size-0",
        says="`shmSize` 0 is not sent, and read back as 64",
        first="shm_size=0",
        shows="shmSize",
        bundled="'shmSize' must be at least 1",
    ),
    Fact(
        name="container-platform",
        says="`platform` of a container is read back without the architecture",
        first='platform="linux/amd64"',
        shows="platform",
        bundled="property 'platform' is not served",
    ),
    Fact(
        name="hosts-ipv6",
        says="an IPv6 address of `hosts` is cut at its first colon",
        first='hosts=[A.ContainerHostArgs(host="a", ip="fd00::1")]',
        shows="hosts",
        bundled="must be an IPv4 address",
    ),
    Fact(
        name="security-opt-systempaths",
        says="`systempaths=unconfined` never reaches Docker, and is not read back",
        first='security_opts=["systempaths=unconfined"]',
        shows="securityOpts",
        bundled="must not be of systempaths",
    ),
    Fact(
        name="security-opt-of-a-privileged",
        says="Docker adds an option of its own to those of a privileged container",
        first='privileged=True, security_opts=["no-new-privileges:true"]',
        shows="securityOpts",
        bundled="'securityOpts' cannot be combined with 'privileged'",
    ),
    Fact(
        name="entrypoint-empty",
        says="an empty entrypoint is not read back",
        first='entrypoints=[""]',
        shows="entrypoints",
        bundled="'entrypoints[0]' must not be empty",
    ),
    _same(
        "ports-chosen-by-Docker",
        "a port that Docker chooses is read back, and no change",
        'start=True, must_run=True, ports=[port(80, ip="127.0.0.1")]',
    ),
    _same(
        "ports-in-another-order",
        "ports are read back by their number in the container, which is no change",
        "start=True, must_run=True, ports=[port(443, PORTS[2]), port(80, PORTS[3])]",
    ),
    Fact(
        name="ports-external-0",
        says="`external` 0 is read back as the port that Docker chose",
        first="start=True, must_run=True, ports=[port(80, 0)]",
        shows="ports",
        bundled="'ports[0].external' must be at least 1",
    ),
    Fact(
        name="ports-internal-twice",
        says="two bindings of one port are read back in another order",
        first="start=True, must_run=True, "
        "ports=[port(80, max(PORTS[:2])), port(80, min(PORTS[:2]))]",
        shows="ports",
        bundled="'ports[1].internal' is there twice",
    ),
    _same(
        "mounts-tmpfs",
        "a mount of type tmpfs is read back as given",
        "mounts=[mount("
        "tmpfs_options=A.ContainerMountTmpfsOptionsArgs(size_bytes=1048576, mode=448))]",
    ),
    _same(
        "mounts-bind",
        "a mount of type bind is read back as given",
        'mounts=[mount(type="bind", source="/tmp", read_only=True, '
        'bind_options=A.ContainerMountBindOptionsArgs(propagation="rslave"))]',
    ),
    _order("envs", 'envs=["A=1", "B=1"]', 'envs=["B=1", "A=1"]'),
    _order("groupAdds", 'group_adds=["1", "2"]', 'group_adds=["2", "1"]'),
    _order("volumes", 'volumes=at("/a", "/b")', 'volumes=at("/b", "/a")'),
    _order(
        "labels",
        'labels=marked("Container")',
        'labels=marked("Container")[::-1]',
    ),
    _order(
        "capabilities",
        'capabilities=caps(adds=["CAP_KILL", "CAP_CHOWN"])',
        'capabilities=caps(adds=["CAP_CHOWN", "CAP_KILL"])',
    ),
    _order(
        "networksAdvanced",
        'networks_advanced=[join(NETS[0], aliases=["a", "b"]), join(NETS[1])]',
        'networks_advanced=[join(NETS[1]), join(NETS[0], aliases=["b", "a"])]',
    ),
    _same(
        "networks-of-a-server",
        "a server may be in several networks, with an address of its own",
        "start=True, must_run=True, networks_advanced=[join(NETS[0]), "
        "join(NETS[1], ipv4_address=subnet(17, 9, 0)), join(NETS[2])]",
    ),
    Fact(
        name="ports-in-an-internal-network",
        says="ports of a container in internal networks alone are not published, nor read back",
        first="start=True, must_run=True, networks_advanced=[join(NETS[2])], "
        'ports=[port(80, PORTS[0], ip="127.0.0.2")]',
        shows="ports",
        bundled="'ports' is given back by this Docker as []",
        at_creation=True,
    ),
    _order(
        "ports",
        "ports=[port(80, 18001), port(81, 18002)]",
        "ports=[port(81, 18002), port(80, 18001)]",
    ),
)

LIFE = (
    Fact(
        name="must-run-of-what-is-not-started",
        says="a container that is not started is read back with `mustRun` false",
        first="must_run=True",
        shows="mustRun",
        bundled="'mustRun' must be false where 'start' is",
    ),
    Fact(
        name="must-run-of-what-ends",
        says="a container that must run and ends is created, and read back with `mustRun` false",
        first='start=True, must_run=True, command=["true"]',
        shows="mustRun",
        bundled="the container exited with code 0",
        at_creation=True,
    ),
    Fact(
        name="must-run-of-a-job",
        says="a job that must run is read back with `mustRun` false",
        first='start=True, must_run=True, attach=True, command=["true"]',
        shows="mustRun",
        bundled="'mustRun' must be false",
    ),
    _same(
        "job",
        "a job is waited for with `attach` and `mustRun` false; its exit code is no error",
        'start=True, attach=True, logs=True, command=["sh", "-c", "exit 3"]',
    ),
    _same("created-only", "a container may be created and not started", ""),
    Fact(
        name="wait-without-healthcheck",
        says="`wait` without a healthcheck is refused",
        first="start=True, must_run=True, wait=True",
        refused="the container does not have a healthcheck defined",
        bundled="'wait' needs a healthcheck",
        at_creation=True,
    ),
    Fact(
        name="wait-for-what-has-ended",
        says="`wait` does not see that a container has ended: it takes the whole `waitTimeout`",
        first='start=True, must_run=True, wait=True, wait_timeout=3, command=["false"], '
        'healthcheck=health(interval="1s")',
        refused="container failed to be in healthy state",
        bundled="the container exited with code 1",
        at_creation=True,
    ),
    _same(
        "wait-for-what-is-healthy",
        "`wait` ends with the first success of the healthcheck",
        'start=True, must_run=True, wait=True, healthcheck=health(interval="1s")',
    ),
    Fact(
        name="command-with-an-empty-word",
        says="an empty word of `command` is refused",
        first='command=["echo", ""]',
        refused="values for command may not be empty",
        bundled="'command[1]' must not be empty",
    ),
    Fact(
        name="image-that-is-not-there",
        says="an image by id that is not there is pulled in vain",
        first='image="sha256:" + "0" * 64',
        refused="Unable to create container with image sha256:0000",
        bundled="sha256:0000",
        at_creation=True,
    ),
)

UPLOADS = (
    Fact(
        name="upload-under-a-read-only-root",
        says="an upload is extracted at `/`, which Docker refuses where the root is read-only, "
        "though the file would go into a volume",
        first='read_only=True, volumes=at("/data"), uploads=[upload("/data/x")]',
        refused="container rootfs is marked read-only",
        bundled="'uploads' cannot be combined with 'readOnly'",
    ),
    _same(
        "upload-into-a-volume",
        "a container that is created and not started takes uploads, into its volumes too",
        'volumes=at("/data"), uploads=[upload("/data/x", permissions="0444")]',
    ),
    Fact(
        name="upload-of-nothing",
        says="an empty upload is refused",
        first='uploads=[upload("/etc/x", "")]',
        refused="one of 'content', 'content_base64', or 'source' must be set",
        bundled="'uploads[0].content' must not be empty",
    ),
    Fact(
        name="upload-below-a-tmpfs",
        says="an upload below a tmpfs is taken, and hidden when the container starts",
        first='tmpfs={"/tmp": ""}, uploads=[upload("/tmp/x")]',
        bundled="is below the tmpfs /tmp, which hides it at start",
    ),
    Fact(
        name="upload-to-a-relative-path",
        says="a relative path of an upload is one below `/`",
        first='uploads=[upload("etc/x")]',
        bundled="'uploads[0].file' must be an absolute path",
    ),
)

CONTAINER = (*CHANGES, *READ_BACK, *LIFE, *UPLOADS)
