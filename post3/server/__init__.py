"""The edge, and the only package that knows Sanic: requests in, answers out, and what HTTP wants around them.

Sanic listens, parses heads and transfer codings, and keeps connections. From there on a request is answered here: S3
has no use for routes, middleware and response objects, and answers written as ready bytes cost half as much.
"""

from post3.server.application import build_sanic
from post3.server.certificate import Certificate
from post3.server.exchange import Answer, HangUp
from post3.server.forwarded import TrustedProxies
from post3.server.running import serve

__all__ = ["Answer", "Certificate", "HangUp", "TrustedProxies", "build_sanic", "serve"]
