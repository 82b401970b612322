"""Facts about `docker.Network`, `docker.Volume` and the resources of `pulumi_random`."""

from .fact import Fact


def _network(name: str, says: str, first: str, then: str | None = None, change: str = "") -> Fact:
    return Fact(name=name, says=says, kind="Network", first=first, then=then, change=change)


def _network_replaced(setting: str, number: int, first: str, then: str) -> Fact:
    says = f"a change of `{setting}` replaces the network"
    given = f'name=named("net-{number}"), '
    pool = "" if setting == "ipamConfigs" else f"ipam_configs=pool({number}), "
    return _network(
        f"network-{setting}-changes", says, given + pool + first, given + pool + then, "replace"
    )


def _network_kept(setting: str, first: str, then: str = "") -> Fact:
    says = f"`{setting}` left out altogether is no change: the network keeps it"
    return _network(f"network-{setting}-left-out", says, first, then, "none")


NETWORK = (
    Fact(
        name="network-name-changes",
        says="a change of `name` replaces the network",
        kind="Network",
        first='name=named("net-a"), ipam_configs=pool(0)',
        then='name=named("net-b"), ipam_configs=pool(0)',
        change="replace",
    ),
    _network_replaced("attachable", 1, "", "attachable=True"),
    _network_replaced(
        "labels",
        2,
        "",
        'labels=marked("Network")',
    ),
    _network_replaced("internal", 3, "internal=True", "internal=False"),
    _network_replaced(
        "options",
        5,
        'options={"com.docker.network.bridge.enable_icc": "true"}',
        'options={"com.docker.network.bridge.enable_icc": "false"}',
    ),
    _network_replaced("ipamOptions", 6, 'ipam_options={"a": "b"}', ""),
    _network_replaced(
        "ipamConfigs",
        7,
        "ipam_configs=pool(7, gateway=subnet(7, 1, 0))",
        "ipam_configs=pool(7, gateway=subnet(7, 2, 0))",
    ),
    _network(
        "network-ipv6-changes",
        "a change of `ipv6` replaces the network",
        'name=named("net-8"), ipam_configs=pool(8)',
        'name=named("net-8"), ipv6=True, ipam_configs=[*pool(8), pool6(8)]',
        "replace",
    ),
    _network_kept("internal", "internal=True, ipam_configs=pool(9)", "ipam_configs=pool(9)"),
    _network_kept(
        "options",
        'options={"com.docker.network.bridge.enable_icc": "true"}, ipam_configs=pool(10)',
        "ipam_configs=pool(10)",
    ),
    _network_kept("ipamConfigs", "ipam_configs=pool(11)"),
    _network("network-without-settings", "Docker chooses a subnet, and that is no change", ""),
    _network(
        "network-driver-left-out",
        "the default driver left out is no change",
        'driver="bridge", ipam_configs=pool(12)',
        "ipam_configs=pool(12)",
    ),
    _network(
        "network-subnet-alone",
        "a subnet without a gateway is read back as given (by Docker 20.10)",
        "ipam_configs=pool(13)",
    ),
    _network(
        "network-pool",
        "gateway, range and further addresses of a pool are read back as given",
        "ipam_configs=pool(14, gateway=subnet(14, 1, 0), ip_range=subnet(14, 8, 29), "
        'aux_address={"a": subnet(14, 2, 0)})',
    ),
    _network(
        "network-pools-order",
        "the order of pools does not count",
        "ipv6=True, ipam_configs=[*pool(15), pool6(15)]",
        "ipv6=True, ipam_configs=[pool6(15), *pool(15)]",
    ),
)


def _volume(setting: str, first: str, then: str) -> Fact:
    says = f"a change of `{setting}` replaces the volume, and its data with it"
    name = f"volume-{setting}-changes"
    return Fact(name=name, says=says, kind="Volume", first=first, then=then, change="replace")


VOLUME = (
    _volume("name", 'name=named("a")', 'name=named("b")'),
    _volume(
        "driverOpts",
        'driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "size=8m"}',
        'driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "size=9m"}',
    ),
    _volume("labels", "", 'labels=marked("Volume")'),
    Fact(
        name="volume-driver-left-out",
        says="the default driver left out is no change",
        kind="Volume",
        first='driver="local"',
        then="",
    ),
)


def _random(kind: str, setting: str, first: str, then: str) -> Fact:
    says = f"a change of `{setting}` draws {kind} anew"
    return Fact(
        name=f"{kind}-{setting}-changes",
        says=says,
        kind=kind,
        first=first,
        then=then,
        change="replace",
    )


def _impossible(name: str, says: str, kind: str, first: str, refused: str, bundled: str) -> Fact:
    return Fact(name=name, says=says, kind=kind, first=first, refused=refused, bundled=bundled)


_PASSWORD = "RandomPassword"
RANDOM = (
    _random(_PASSWORD, "length", "length=8", "length=9"),
    _random(_PASSWORD, "keepers", 'length=8, keepers={"a": "1"}', 'length=8, keepers={"a": "2"}'),
    _random(_PASSWORD, "lower", "length=8", "length=8, lower=False"),
    _random(_PASSWORD, "upper", "length=8", "length=8, upper=False"),
    _random(_PASSWORD, "special", "length=8", "length=8, special=False"),
    _random(_PASSWORD, "numeric", "length=8", "length=8, numeric=False"),
    _random(_PASSWORD, "minLower", "length=8", "length=8, min_lower=1"),
    _random(_PASSWORD, "minUpper", "length=8", "length=8, min_upper=1"),
    _random(_PASSWORD, "minNumeric", "length=8", "length=8, min_numeric=1"),
    _random(_PASSWORD, "minSpecial", "length=8", "length=8, min_special=1"),
    _random(_PASSWORD, "overrideSpecial", "length=8", 'length=8, override_special="~"'),
    _random("RandomString", "upper", "length=8", "length=8, upper=False"),
    _random("RandomId", "byteLength", "byte_length=4", "byte_length=5"),
    _random("RandomId", "prefix", 'byte_length=4, prefix="a"', "byte_length=4"),
    _random("RandomId", "keepers", "byte_length=4", 'byte_length=4, keepers={"a": "1"}'),
    _random("RandomBytes", "length", "length=4", "length=5"),
    _random("RandomBytes", "keepers", 'length=4, keepers={"a": "1"}', "length=4"),
    _random("RandomInteger", "min", "min=1, max=9", "min=2, max=9"),
    _random("RandomInteger", "max", "min=1, max=9", "min=1, max=8"),
    _random("RandomShuffle", "inputs", 'inputs=["a", "b"]', 'inputs=["b", "a"]'),
    _random(
        "RandomShuffle", "resultCount", 'inputs=["a", "b"]', 'inputs=["a", "b"], result_count=1'
    ),
    _random("RandomUuid", "keepers", "", 'keepers={"a": "1"}'),
    _random("RandomUuid4", "keepers", "", 'keepers={"a": "1"}'),
    Fact(
        name="defaults-said",
        says="a default that is left out is no change",
        kind=_PASSWORD,
        first="length=8, special=True, min_upper=0",
        then="length=8",
    ),
    _impossible(
        "no-class-of-characters",
        "a string of no characters is refused",
        _PASSWORD,
        "length=8, special=False, upper=False, lower=False, numeric=False",
        "At least one attribute out of [special,upper,lower,numeric] must be specified as true",
        "no class of characters is allowed",
    ),
    _impossible(
        "minimums-above-the-length",
        "minimums above the length are refused",
        _PASSWORD,
        "length=3, min_upper=2, min_lower=2",
        "must be at least sum of min_upper + min_lower + min_numeric + min_special",
        "'length' is below the sum of the minimums",
    ),
    _impossible(
        "length-0",
        "a length of 0 is refused",
        _PASSWORD,
        "length=0",
        "must be at least 1",
        "must be at least 1",
    ),
    _impossible(
        "number-against-numeric",
        "`number` and `numeric` that differ are refused",
        _PASSWORD,
        "length=8, number=True, numeric=False",
        "Number and numeric are both configured with different values",
        "are one setting",
    ),
    _impossible(
        "integer-bounds",
        "bounds in the wrong order are refused",
        "RandomInteger",
        "min=5, max=4",
        "needs to be smaller than or equal to maximum",
        "must not be above 'max'",
    ),
    _impossible(
        "bytes-0",
        "no bytes are refused",
        "RandomBytes",
        "length=0",
        "must be at least 1",
        "must be at least 1",
    ),
    _impossible(
        "id-0",
        "an id of no bytes is refused",
        "RandomId",
        "byte_length=0",
        "empty resource.ID",
        "must be at least 1",
    ),
)

OTHERS = (*NETWORK, *VOLUME, *RANDOM)
