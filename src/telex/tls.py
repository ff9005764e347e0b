"""TLS contexts for both ends, certificates that are renewed, and the name in a certificate."""

from __future__ import annotations

from telex.security.tls import client_context, identity_of, reload_certificates, server_context

__all__ = ["client_context", "identity_of", "reload_certificates", "server_context"]
