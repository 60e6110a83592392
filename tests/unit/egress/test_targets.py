"""A URL becomes a target or an error that names the fault and repeats nothing of the URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.targets import MAX_URL_CHARACTERS, Target, parse_target
from pipeline.errors import InvalidRequest, TargetNotAllowed


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path"),
    [
        ("http://example.com", "http", "example.com", 80, "/"),
        ("HTTPS://Example.COM/Hook", "https", "example.com", 443, "/Hook"),
        ("https://example.com:8443/a?b=c&d=%20#part", "https", "example.com", 8443, "/a?b=c&d=%20"),
        ("http://example.com?x=1", "http", "example.com", 80, "/?x=1"),
        ("http://192.168.1.5/x", "http", "192.168.1.5", 80, "/x"),
        ("http://[FD00:1:0::5]:81/", "http", "fd00:1::5", 81, "/"),
        ("http://a_b.internal/", "http", "a_b.internal", 80, "/"),
        ("http://cam1/图片.jpg", "http", "cam1", 80, "/%E5%9B%BE%E7%89%87.jpg"),
        ("http://h/a//b/../c;v=1?u=http://x/y@z", "http", "h", 80, "/a//b/../c;v=1?u=http://x/y@z"),
    ],
)
def test_a_url_is_parsed(url: str, scheme: str, host: str, port: int, path: str) -> None:
    """Scheme and host are lower-cased, the port filled in, the rest kept but for escapes."""
    assert parse_target(url) == Target(scheme=scheme, host=host, port=port, path=path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "//example.com/hook",
        "ftp://example.com/s3cret",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_s3cret",
        "unix:/run/docker.sock",
        "javascript:alert(1)",
        "http://user:s3cret@example.com/",
        "http://user@example.com/",
        "http://@example.com/",
        "http://example.com:80@169.254.169.254/",
    ],
)
def test_a_scheme_or_user_info_is_not_allowed(url: str) -> None:
    """Only http and https without user-info are allowed, and the error repeats no secret."""
    with pytest.raises(TargetNotAllowed) as caught:
        parse_target(url)

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///s3cret",
        "http://:80/s3cret",
        "http://?s3cret",
        "http://example.com:/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:80a/",
        "http://example.com:+80/",
        "http://example.com:８０/",
        "http://::1/",
        "http://[::1/",
        "http://[::1]80/",
        "http://[::1]x:80/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nX-Injected: 1",
        "http://example.com/\tx",
        "http://example.com/\x00",
        "http://example.com/\x7f",
        "http://example.com/\x85",
        "http://example.com/\u2028",
        "http://example.com\\@127.0.0.1/",
        "http:\\\\example.com\\",
        "http://example..com/",
        "http://example.com./",
        "http://.example.com/",
        "http://-x.example.com/",
        "http://x-.example.com/",
        "http://%31%32%37.0.0.1/",
        "http://ex*mple.com/",
        "http://例子.cn/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127.0.0。1/",
        f"http://{'a' * 64}.com/",
        f"http://{'a.' * 127}com/",
        "http://127.1/",
        "http://127.0.1/",
        "http://0x7f.1/",
        "http://0x7f.0.0.0x1/",
        "http://0x/",
        "http://2130706433/",
        "http://0/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.256/",
        "http://1.2.3.4.5/",
        "http://example.123/",
        "http://h/?s3cret=" + "x" * MAX_URL_CHARACTERS,
    ],
)
def test_a_malformed_url_is_refused(url: str) -> None:
    """What parsers read in different ways is refused, whatever it would have resolved to."""
    with pytest.raises(InvalidRequest) as caught:
        parse_target(url)

    assert caught.value.field == "url"
    assert "s3cret" not in str(caught.value)


@given(st.text() | st.text().map("http://{}".format) | st.text().map("http://h:{}/".format))
def test_any_text_is_a_target_or_an_error_of_ours(url: str) -> None:
    """Whatever a caller sends, the answer is a clean target or one of the two errors."""
    try:
        target = parse_target(url)
    except (InvalidRequest, TargetNotAllowed):
        return

    assert target.host
    assert 1 <= target.port <= 65535
    assert target.path.startswith("/")
    assert target.path.isascii()
    assert target.path.isprintable()
    assert " " not in target.path


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://example.com/", "example.com"),
        ("http://example.com:80/", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("https://example.com:443/", "example.com"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("http://[::1]/", "[::1]"),
    ],
)
def test_the_host_header_has_the_port_only_where_it_says_something(
    url: str, authority: str
) -> None:
    """The authority leaves out the scheme's own port and puts IPv6 into brackets."""
    assert parse_target(url).authority == authority


def test_a_name_is_no_address() -> None:
    """Only a literal gives an address; a name gives None and must be resolved."""
    assert parse_target("http://localhost/").address is None
    assert str(parse_target("http://127.0.0.1/").address) == "127.0.0.1"
    assert str(parse_target("http://[::1]/").address) == "::1"
