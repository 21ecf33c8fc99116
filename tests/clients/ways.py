"""The ways that lead to a server: plain HTTP, TLS, TLS through nginx; the bucket in the path or in the name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.certificates import make_pem, split
from tests.nginx import in_front_of
from tests.servers import Server, post3_serve

DOMAIN: Final = "s3.localhost"
KEY: Final = {"POST3_ACCESS_KEY": "tests-of-clients", "POST3_SECRET_KEY": "a+secret/with=signs"}
TRANSPORTS: Final = ("HTTP", "TLS", "nginx")
STYLES: Final = ("path", "virtual")


@dataclass(frozen=True, slots=True)
class Way:
    """One of them, with a server at its end."""

    endpoint: str
    style: str
    ca: Path
    """The certificates to trust, as PEM."""

    def environment(self) -> dict[str, str]:
        """What tells clients of it: the AWS variables, and those by which TLS libraries are told whom to trust."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY["POST3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": KEY["POST3_SECRET_KEY"],
            "STYLE": self.style,
            **dict.fromkeys(("AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"), str(self.ca)),
        }


@contextmanager
def serving(transport: str, store: list[str], folder: Path) -> Iterator[list[Way]]:
    """The ways of this transport to a server with these options, which keeps its things in the folder; path first."""
    pair = make_pem("localhost", DOMAIN, f"*.{DOMAIN}")
    ca, both = folder / "ca.pem", folder / "both.pem"
    ca.write_bytes(split(pair)[0])
    both.write_bytes(pair)
    more = {"HTTP": [], "TLS": ["--tls-cert", str(both)], "nginx": ["--trusted-proxy", "127.0.0.1"]}[transport]
    with ExitStack() as running:
        server: Server = running.enter_context(post3_serve(*store, "--domain", DOMAIN, *more, cwd=folder, env=KEY))
        scheme, port = server.scheme, server.port
        if transport == "nginx":
            scheme, port = "https", running.enter_context(in_front_of(server, folder, pair)).port
        # nginx answers to its name; without it, people write the address.
        hosts = {"path": "127.0.0.1" if transport != "nginx" else DOMAIN, "virtual": DOMAIN}
        yield [Way(f"{scheme}://{hosts[style]}:{port}", style, ca) for style in STYLES]
