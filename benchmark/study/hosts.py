"""The rule that decides which requests a small server on this machine answers."""

from ipaddress import ip_address
from urllib.parse import urlsplit

LOCAL = ("127.0.0.1", "localhost", "::1")


def refusal(bound: str, host: str, origin: str | None) -> str | None:
    """Says why a request is refused, or None. Other sites must not reach a server through a visitor's browser.

    Args:
        bound: the address that the server listens on. On one of this machine's own, only its names are answered,
            which a forged name server cannot give.
        host: the request's header `Host`.
        origin: its header `Origin`, which a browser sets to the page that asks.
    """
    try:
        local = bound == "localhost" or ip_address(bound).is_loopback
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return "the header Host cannot be read"
    if local and name not in LOCAL:
        return "this server answers to localhost only"
    return None if origin is None or origin == f"http://{host}" else "requests from other pages are refused"
