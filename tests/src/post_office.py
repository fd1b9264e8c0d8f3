"""A real mail server for tests: aiosmtpd, with STARTTLS, TLS and AUTH.

What it takes it prints, a JSON object on each line; the first line is the port.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

manner, certificate, key = sys.argv[1:4]


class Takes:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "451 4.7.1 greylisted, try again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 good"

    async def handle_DATA(self, server, session, envelope):
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode("utf-8", "replace"),
            "tls": manner == "tls" or session.ssl is not None,
            "authenticated": bool(session.authenticated),
        }
        print(json.dumps(taken), flush=True)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"hearten", b"s3cret-of-mail")
    return AuthResult(success=good, handled=good)


def smtp():
    known = {"authenticator": authenticate, "auth_required": manner != "open"}
    if manner == "starttls":
        return SMTP(Takes(), tls_context=context, require_starttls=True, **known)
    return SMTP(Takes(), auth_require_tls=False, **known)


async def main():
    loop = asyncio.get_running_loop()
    first_byte = context if manner == "tls" else None
    server = await loop.create_server(smtp, "127.0.0.1", 0, ssl=first_byte)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
asyncio.run(main())
