"""The addresses that may be dialled, as a table, and the operator's setting."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.policy import REFUSED_PORTS, EgressPolicy, check_addresses, check_literal
from egress.ranges import FORBIDDEN, NEVER_OPENED, IPAddress, IPNetwork, judged_as
from egress.targets import parse_target
from pipeline.errors import InvalidSettings, TargetNotAllowed

NOTHING_OPENED = EgressPolicy()
#: Everything that a setting can open, on port 80.
ALL_OPENED = EgressPolicy.parse("0.0.0.0/0:80 ::/0:80")
#: Places in a range of any size, its edges and middle alike.
OFFSETS = st.integers(min_value=0, max_value=1 << 128)


def allows(policy: EgressPolicy, *addresses: str, port: int = 80) -> bool:
    """Tell whether *policy* lets a name with these addresses be dialled."""
    target = parse_target(f"http://subscriber.example:{port}/")
    try:
        check_addresses(target, [ipaddress.ip_address(a) for a in addresses], policy)
    except TargetNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:82a::200e",
        "2001:200::1",
        "2003::1",
        "3ffe::1",
        "3fff:1000::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
)
def test_a_public_address_is_allowed(address: str) -> None:
    """Public addresses up to the very edges of the forbidden ranges are allowed unasked."""
    assert allows(NOTHING_OPENED, address)


SPECIAL = [
    # This host and loopback
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.255.255.254",
    "::",
    "::1",
    # Private and shared
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "172.16.0.1",
    "172.17.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "fc00::1",
    "fd12:3456:789a::1",
    # Link-local, site-local and metadata
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    # Reserved, documentation, benchmarking
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "255.255.255.255",
    "100::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "200::1",
    "4000::1",
    "e000::1",
    # Multicast
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    # IPv4 inside IPv6: mapped, compatible, translated, NAT64, local NAT64, 6to4, Teredo
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "::10.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1::8.8.8.8",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2001:0:7f00:1::",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
]


@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_is_forbidden_by_default(address: str) -> None:
    """Every address that is not the public internet is forbidden, however it is written."""
    assert not allows(NOTHING_OPENED, address)


@pytest.mark.parametrize("address", SPECIAL)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_mixed_answer_is_forbidden(address: str, is_first: bool) -> None:
    """One forbidden address among public ones forbids the whole answer, wherever it stands."""
    answer = (address, "8.8.8.8") if is_first else ("8.8.8.8", "2606:4700:4700::1111", address)

    assert not allows(NOTHING_OPENED, *answer)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "a loopback"),
        ("::1", "a loopback"),
        ("::ffff:10.0.0.1", "a private"),
        ("64:ff9b::169.254.0.1", "a link-local"),
        ("169.254.169.254", "a cloud metadata"),
        ("fec0::1", "a site-local"),
        ("fe80::1", "a link-local"),
        ("64:ff9b:1::1", "a local NAT64"),
        ("2001:db8::1", "a documentation"),
        ("::7f00:1", "an IPv4-compatible"),
    ],
)
def test_the_refusal_names_the_kind_and_not_the_address(address: str, kind: str) -> None:
    """The caller learns why a name is refused, and nothing of the network behind it."""
    with pytest.raises(TargetNotAllowed) as caught:
        check_addresses(parse_target("http://h/"), [ipaddress.ip_address(address)], NOTHING_OPENED)

    assert kind in str(caught.value)
    assert address not in str(caught.value)


def test_an_empty_answer_is_forbidden() -> None:
    """No address is no permission."""
    assert not allows(ALL_OPENED)


@given(row=st.sampled_from(FORBIDDEN), offset=OFFSETS, port=st.integers(1, 65535))
def test_no_address_of_a_forbidden_range_passes(
    row: tuple[IPNetwork, str], offset: int, port: int
) -> None:
    """Any address inside any forbidden range is refused on every port by the default policy."""
    network, _ = row
    address = network[offset % network.num_addresses]
    if judged_as(address).version != address.version:
        return  # judged as the public or forbidden IPv4 address in it, see the next test

    assert not allows(NOTHING_OPENED, str(address), port=port)


@given(address=st.ip_addresses(v=4), port=st.sampled_from([80, 443, 22, 9000]))
def test_an_ipv6_form_is_never_more_allowed_than_its_ipv4_address(
    address: ipaddress.IPv4Address, port: int
) -> None:
    """Mapped and NAT64 forms are judged alike with what they embed, all others are refused."""
    plain = allows(NOTHING_OPENED, str(address), port=port)
    number = int(address)
    alike = [0xFFFF << 32 | number, 0x64FF9B << 96 | number]
    refused = [number or 2, 0x2002 << 112 | number << 80, 0x2001 << 112 | number ^ 0xFFFF_FFFF]

    for value in alike:
        assert allows(NOTHING_OPENED, str(ipaddress.IPv6Address(value)), port=port) == plain
    for value in refused:
        assert not allows(ALL_OPENED, str(ipaddress.IPv6Address(value)))


@given(row=st.sampled_from(NEVER_OPENED), offset=OFFSETS)
def test_nothing_opens_what_is_never_opened(row: tuple[IPNetwork, str], offset: int) -> None:
    """Metadata, unspecified, multicast, reserved and tunnelled addresses stay shut."""
    network, _ = row

    assert not allows(ALL_OPENED, str(network[offset % network.num_addresses]))


@pytest.mark.parametrize(
    ("setting", "address", "port", "is_allowed"),
    [
        ("192.168.10.0/24:80,443", "192.168.10.7", 80, True),
        ("192.168.10.0/24:80,443", "192.168.10.7", 443, True),
        ("192.168.10.0/24:80,443", "192.168.10.7", 8080, False),
        ("192.168.10.0/24:80,443", "192.168.11.7", 80, False),
        ("192.168.10.0/24:80,443", "::ffff:192.168.10.7", 443, True),
        ("192.168.10.0/24:80,443", "64:ff9b::192.168.10.7", 443, True),
        ("192.168.10.0/24:80,443", "2002:c0a8:a07::", 443, False),
        ("192.168.10.0/24:80,443", "::192.168.10.7", 443, False),
        ("192.168.10.0/24:80,443", "8.8.8.8", 8080, True),
        ("192.168.10.0/24", "192.168.10.7", 8080, True),
        ("192.168.10.0/24", "192.168.10.7", 6379, False),
        ("192.168.10.0/24:6379", "192.168.10.7", 6379, True),
        ("127.0.0.1/32:9000", "127.0.0.1", 9000, True),
        ("127.0.0.1/32:9000", "127.0.0.2", 9000, False),
        ("127.0.0.1/32:9000", "127.0.0.1", 6379, False),
        ("127.0.0.1/32:9000", "::1", 9000, False),
        ("::1/128:9000", "::1", 9000, True),
        ("fd00:1::/64", "fd00:1::5", 443, True),
        ("fd00:1::/64", "fd00:1:0:1::5", 443, False),
        ("fe80::/10:80", "fe80::1%eth0", 80, True),
        ("169.254.0.0/16:80", "169.254.7.7", 80, True),
        ("169.254.0.0/16:80", "169.254.169.254", 80, False),
        ("fd00::/8:80", "fd00:ec2::254", 80, False),
        ("0.0.0.0/0:80", "10.0.0.1", 80, True),
        ("0.0.0.0/0:80", "10.0.0.1", 81, False),
        ("8.8.8.8/32:22", "8.8.8.8", 22, True),
        ("8.8.8.8/32:22", "8.8.8.8", 80, True),
    ],
)
def test_the_setting_opens_named_ranges_on_named_ports(
    setting: str, address: str, port: int, is_allowed: bool
) -> None:
    """A range opens its own addresses on its own ports, wrapped ones too, and no more."""
    assert allows(EgressPolicy.parse(setting), address, port=port) is is_allowed


def test_an_opened_address_does_not_carry_a_forbidden_one_along() -> None:
    """Each address of an answer needs its own permission."""
    policy = EgressPolicy.parse("192.168.10.0/24:80")

    assert allows(policy, "192.168.10.1", "192.168.10.2", "8.8.8.8")
    assert not allows(policy, "192.168.10.1", "192.168.11.1")


@pytest.mark.parametrize("port", [80, 443, 3000, 5000, 8000, 8080, 8443, 9000, 9001, 65535])
def test_a_port_where_subscribers_listen_is_allowed(port: int) -> None:
    """A public address may be dialled on the ports that web servers use."""
    assert allows(NOTHING_OPENED, "8.8.8.8", port=port)


@pytest.mark.parametrize("port", sorted(REFUSED_PORTS))
def test_a_port_of_a_service_that_is_no_receiver_is_refused(port: int) -> None:
    """A public address is not dialled where a request could do harm."""
    assert not allows(NOTHING_OPENED, "8.8.8.8", port=port)


def test_a_mapped_address_is_dialled_as_ipv4_and_others_as_they_came() -> None:
    """What was judged is what is dialled: the mapped form is unwrapped, NAT64 is not."""
    answer: list[IPAddress] = [
        ipaddress.ip_address(text)
        for text in ("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2606:4700::1", "8.8.4.4")
    ]

    dialled = check_addresses(parse_target("http://h/"), answer, NOTHING_OPENED)

    assert [str(a) for a in dialled] == ["8.8.8.8", "64:ff9b::808:808", "2606:4700::1", "8.8.4.4"]


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("http://169.254.169.254/", False),
        ("http://[::ffff:127.0.0.1]/", False),
        ("http://10.0.0.1/", False),
        ("http://8.8.8.8/", True),
        ("http://8.8.8.8:6379/", False),
        ("http://name.example/", True),
        ("http://name.example:25/", False),
        ("http://name.example:2375/", True),  # some opened range names that port
    ],
)
def test_a_target_is_refused_early_where_no_name_needs_to_be_asked(
    url: str, is_allowed: bool
) -> None:
    """A caller can be told of a forbidden literal or port without a lookup."""
    policy = EgressPolicy.parse("192.168.1.0/24:2375")

    if is_allowed:
        check_literal(parse_target(url), policy)
    else:
        with pytest.raises(TargetNotAllowed):
            check_literal(parse_target(url), policy)


@pytest.mark.parametrize(
    ("setting", "ranges"),
    [
        ("", []),
        ("  \n", []),
        ("10.0.0.0/8", [("10.0.0.0/8", [])]),
        ("10.0.0.0/8,192.168.0.0/16", [("10.0.0.0/8", []), ("192.168.0.0/16", [])]),
        ("10.0.0.0/8:80,443,192.168.0.0/16", [("10.0.0.0/8", [80, 443]), ("192.168.0.0/16", [])]),
        (
            "192.168.10.0/24:80,443 127.0.0.1/32:9000, fd00:1::/64",
            [("192.168.10.0/24", [80, 443]), ("127.0.0.1/32", [9000]), ("fd00:1::/64", [])],
        ),
        ("fd00:1::/64:80, 443\n::1/128:9000,", [("fd00:1::/64", [80, 443]), ("::1/128", [9000])]),
    ],
)
def test_the_setting_is_read_without_ambiguity(
    setting: str, ranges: list[tuple[str, list[int]]]
) -> None:
    """Commas and white space separate alike; a slash begins a range, a number adds a port."""
    opened = EgressPolicy.parse(setting).opened

    assert [(str(r.network), sorted(r.ports)) for r in opened] == ranges


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("10.0.0.0", "10.0.0.0"),
        ("localhost/8", "localhost/8"),
        ("10.0.0.1/8", "10.0.0.1/8"),
        ("10.0.0.0/33", "10.0.0.0/33"),
        ("10.0.0.0/", "10.0.0.0/"),
        ("10.0.0.0/8:", "10.0.0.0/8:"),
        ("10.0.0.0/8:http", "10.0.0.0/8:http"),
        ("10.0.0.0/8:0", "10.0.0.0/8:0"),
        ("10.0.0.0/8:65536", "10.0.0.0/8:65536"),
        ("10.0.0.0/8:80,99999", "99999"),
        ("80,443", "80"),
        ("10.0.0.0/8 443", "443"),
        ("10.0.0.0/8:80 all", "all"),
        ("127.0.0.0/8", "127.0.0.0/8"),
        ("127.0.0.1/32", "127.0.0.1/32"),
        ("::1/128", "::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("10.0.0.0/8 169.254.169.254/32:80", "169.254.169.254/32:80"),
        ("0.0.0.0/32:80", "0.0.0.0/32:80"),
        ("224.0.0.0/4:80", "224.0.0.0/4:80"),
        ("2002::/16:80", "2002::/16:80"),
        ("::ffff:10.0.0.0/104:80", "::ffff:10.0.0.0/104:80"),
        ("64:ff9b::/96:80", "64:ff9b::/96:80"),
    ],
)
def test_a_bad_entry_is_named(setting: str, named: str) -> None:
    """A setting that cannot be meant is refused, and the error repeats the entry."""
    with pytest.raises(InvalidSettings, match=r"^'") as caught:
        EgressPolicy.parse(setting)

    assert repr(named) in str(caught.value)
