"""Who the gateway lets in, as far as the settings say. It asks no server."""

from __future__ import annotations

from collections.abc import Iterator

from framecue.errors import SetupError
from framecue.settings import GatewaySettings, Settings
from framecue_services.cli.doctor.findings import Finding, fine
from framecue_services.cli.local.deployment import local_settings
from framecue_services.cli.local.service import GATEWAY
from framecue_services.cli.local.state import read_state
from framecue_services.gateway.loopback import is_loopback

_TOKENS = "set FRAMECUE_GATEWAY__AUTH=on and make tokens with `framecue token create`"


def as_it_runs(settings: Settings) -> GatewaySettings:
    """What holds for the gateway: that of `framecue up` asks nobody for a token, where nothing else was said."""
    try:
        is_ours = GATEWAY in read_state(settings.local.folder).processes
        return local_settings(settings).gateway if is_ours else settings.gateway
    except SetupError:  # told by whoever looks at the servers
        return settings.gateway


def access(settings: GatewaySettings) -> Iterator[Finding]:
    """Whether somebody may come in who should not, or may not stay who should."""
    here = is_loopback(settings.host)
    if settings.auth == "off":
        if here:
            what = (
                "gateway.auth is OFF: whoever is on this machine sees every stream and changes rules, without a token"
            )
            yield Finding("warning", what, _TOKENS)
        else:
            what = f"gateway.auth is off and gateway.host is {settings.host}, open to the network: it will not start"
            yield Finding("error", what, _TOKENS)
        return
    yield fine("the gateway asks for tokens")
    if not here and not settings.secure_cookie:
        what = f"the gateway on {settings.host} speaks plain HTTP: tokens and sessions can be read on the way"
        cure = "put a proxy with TLS before it, and set FRAMECUE_GATEWAY__SECURE_COOKIE=true"
        yield Finding("warning", what, cure)
    if settings.session_secret is None:
        what = "browsers have to log in again whenever a gateway starts, and on each gateway"
        cure = "where that matters set FRAMECUE_GATEWAY__SESSION_SECRET to 32 random characters or more"
        yield Finding("fine", what, cure)
