"""The gateway: who may come in, how, and to what."""

from typing import Annotated, Literal

import msgspec

from agent.config.declare import Section, about
from agent.config.sections.limits import PREFIX, PREFIX_FORM, Limit, MaxBody
from agent.config.sections.proxy import LISTEN
from agent.config.sections.service import LABEL

WORD = r"^[A-Za-z0-9!#$&'*+.^_`|~-]+$"
"""A method or the name of a header (RFC 9110), without a percent sign."""
CLAIM_HEADER = r"^x-[a-z0-9-]{1,60}$"

ServiceName = Annotated[
    str, about("Service.", pattern=LABEL, form="a service's name: a to z, 0 to 9 and -, at most 63")
]
Header = Annotated[str, about("Header.", pattern=WORD, form="the name of a header, or *")]
Method = Annotated[str, about("Method.", pattern=WORD, form="a method such as GET, or *")]
Prefix = Annotated[str, about("Path prefix.", pattern=PREFIX, form=PREFIX_FORM)]


class Cors(Section, frozen=True):
    """Which web pages of other origins may call what lies below a path prefix."""

    origins: Annotated[
        tuple[str, ...],
        about(
            "Origins such as https://shop.example. A * stands for one label of the host name or for any port: "
            "https://*.shop.example, http://localhost:*. A * alone: every origin."
        ),
    ]
    prefix: Annotated[
        str,
        about(
            "Path prefix, as whole segments; the longest that fits counts.", pattern=PREFIX, form=PREFIX_FORM
        ),
    ] = "/"
    methods: Annotated[tuple[Method, ...], about("Methods that a page may use.")] = (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
    )
    headers: Annotated[
        tuple[Header, ...], about("Request headers that a page may set, beside those that need no leave.")
    ] = ("Authorization", "Content-Type", "X-API-Version", "X-Request-Id")
    expose: Annotated[tuple[Header, ...], about("Response headers that a page may read.")] = (
        "X-Request-Id",
        "X-API-Version",
    )
    credentials: Annotated[
        bool, about("Cookies and other credentials may be sent; not with the origin *.")
    ] = False
    max_age: Annotated[
        float, about("How long a browser may remember the leave.", unit="s", ge=0, le=86400)
    ] = 600.0


class Tls(Section, frozen=True):
    """TLS at the gateway, 1.2 and later. Without a certificate it is off."""

    certificate: Annotated[
        str, about("File with the certificate and its chain (PEM), read again when it changes.")
    ] = ""
    key: Annotated[str, about("File with the certificate's private key (PEM), without a passphrase.")] = ""
    client_ca: Annotated[
        str,
        about(
            "File with the authorities (PEM) of which every client must show a certificate. Empty: none must."
        ),
    ] = ""
    hsts: Annotated[
        float,
        about(
            "How long browsers shall use https only (Strict-Transport-Security). 0: the header is not sent.",
            unit="s",
            ge=0,
        ),
    ] = 0.0


class Jwt(Section, frozen=True):
    """Requests must bring a JSON Web Token (Authorization: Bearer …). Without an issuer it is off."""

    issuer: Annotated[str, about("Who must have issued the token, exactly as its claim `iss` says.")] = ""
    audiences: Annotated[
        tuple[str, ...], about("The token must be for one of these (claim `aud`). Empty: for anybody.")
    ] = ()
    jwks: Annotated[str, about("The issuer's public keys, a JSON Web Key Set as text.")] = ""
    jwks_file: Annotated[str, about("File with the issuer's public keys, read again when it changes.")] = ""
    jwks_url: Annotated[
        str, about("Where the issuer's public keys are fetched, such as https://login.example/jwks.json.")
    ] = ""
    jwks_cache: Annotated[
        float,
        about("How long fetched keys are used before they are fetched again.", unit="s", ge=1, le=86400),
    ] = 300.0
    claims: Annotated[
        dict[
            Annotated[
                str,
                about("Claim.", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$", form="the name of a claim"),
            ],
            Annotated[
                str,
                about(
                    "Header.", pattern=CLAIM_HEADER, form="a header's name in lower case that begins with x-"
                ),
            ],
        ],
        about("Claims that services get, each with the name of its header; a dot leads into a claim."),
    ] = msgspec.field(default_factory=dict)
    public: Annotated[
        tuple[Prefix, ...], about("Path prefixes, as whole segments, for which no token is needed.")
    ] = ()
    forward: Annotated[bool, about("Services get the token itself too.")] = True


class Gateway(Section, frozen=True):
    """The gateway: one address in front of all services."""

    listen: Annotated[
        str,
        about(
            "Where `pillion gateway` listens. Port 0: a free one, kept.", pattern=LISTEN, form="ADDRESS:PORT"
        ),
    ] = "0.0.0.0:10000"
    routes: Annotated[
        dict[ServiceName, tuple[str, ...]],
        about(
            "Path prefixes that belong to one service, with all below them: no other gets them, whatever it "
            "publishes. Empty: each service gets what it publishes."
        ),
    ] = msgspec.field(default_factory=dict)
    trusted_hops: Annotated[
        int,
        about(
            "Load balancers and proxies in front of the gateway whose X-Forwarded-For is believed. 0: the peer is "
            "the client.",
            ge=0,
            le=16,
        ),
    ] = 0
    proxy_protocol: Annotated[
        bool, about("Every connection begins with the PROXY protocol, of a load balancer in front.")
    ] = False
    trace: Annotated[
        Literal["resample", "trust", "restart"],
        about(
            "A client's trace context: its trace goes on but `tracing.sample` decides; or it decides itself too; or a "
            "new trace begins."
        ),
    ] = "resample"
    cors: Annotated[tuple[Cors, ...], about("Which web pages of other origins may call.")] = ()
    limits: Annotated[
        tuple[Limit, ...], about("Rate limits; a request counts in each that it falls under.", live=True)
    ] = ()
    max_body: MaxBody = 0
    hold_bodies: Annotated[
        bool,
        about(
            "Hold every body until it is whole, so that a slow client occupies no worker of a service. Needs "
            "`max_body`; breaks streams."
        ),
    ] = False
    redirect: Annotated[
        str,
        about(
            "A second address, without TLS, that sends clients to https. Empty: none. Port 0: a free one, kept.",
            pattern=r"^(.+:[0-9]{1,5})?$",
            form="ADDRESS:PORT",
        ),
    ] = ""
    redirect_port: Annotated[
        int,
        about(
            "The port to which clients are sent, as they reach it. 0: that of `gateway.listen`.",
            ge=0,
            le=65535,
        ),
    ] = 0
    tls: Tls = Tls()
    jwt: Jwt = Jwt()
