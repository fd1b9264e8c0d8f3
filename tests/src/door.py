"""The door of a Kafka cluster: TLS and a login, as brokers have them, before brokers that have neither.

Told as an object in JSON: the brokers' ports, a certificate and its key, and the mechanisms that
are offered; without any, nobody has to log in. The line that it prints is the list of its own
ports. A broker's address in an answer becomes that of its door: both have equally many bytes. At
SIGUSR1 it hangs up on everybody, as brokers do whose logins end.
"""

import asyncio
import base64
import functools
import hashlib
import hmac
import json
import os
import signal
import ssl
import struct
import sys

told = json.loads(sys.argv[1])

API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
UNSUPPORTED_MECHANISM, UNSUPPORTED_VERSION, AUTHENTICATION_FAILED = 33, 35, 58
ITERATIONS = 4096


class Refused(Exception):
    """Who knocks is not let in; the text is what a broker says."""


def plain():
    """RFC 4616: all is in what the client says first."""
    _, user, password = (yield).decode().split("\0")
    if (user, password) != (told["user"], told["password"]):
        raise Refused("Authentication failed: Invalid username or password")
    return b""


def scram(digest):
    """RFC 5802: what is yielded is answered by what the client says next."""

    def mac(key, text):
        return hmac.digest(key, text, digest)

    def fields(text):
        return dict(field.split("=", 1) for field in text.split(","))

    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac(digest, told["password"].encode(), salt, ITERATIONS)
    first = (yield).decode().split(",", 2)[2]
    user = fields(first)["n"].replace("=2C", ",").replace("=3D", "=")
    nonce = fields(first)["r"] + base64.b64encode(os.urandom(18)).decode()
    second = f"r={nonce},s={base64.b64encode(salt).decode()},i={ITERATIONS}"
    bare, proof = (yield second.encode()).decode().rsplit(",p=", 1)
    signed = ",".join([first, second, bare]).encode()
    key = mac(salted, b"Client Key")
    stored = hashlib.new(digest, key).digest()
    shown = bytes(a ^ b for a, b in zip(base64.b64decode(proof), mac(stored, signed)))
    # As Kafka compares it: the librdkafka of Debian 12 puts its own half before it once more.
    if not fields(bare)["r"].endswith(nonce) or user != told["user"] or shown != key:
        raise Refused("Authentication failed due to invalid credentials with SCRAM")
    return b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), signed))


MECHANISMS = {
    "PLAIN": plain,
    "SCRAM-SHA-256": lambda: scram("sha256"),
    "SCRAM-SHA-512": lambda: scram("sha512"),
}


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


async def frame(reader):
    return await reader.readexactly(struct.unpack(">i", await reader.readexactly(4))[0])


def send(writer, message):
    writer.write(struct.pack(">i", len(message)) + message)


async def versions(request, version, inner):
    """What the broker can do, in the oldest form, and that one can log in here."""
    if version > 0:
        return struct.pack(">hi", UNSUPPORTED_VERSION, 0)
    send(inner[1], request)
    answer = await frame(inner[0])
    error, count = struct.unpack_from(">hi", answer, 4)
    more = [(HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 1)]
    answer = struct.pack(">hi", error, count + len(more)) + answer[10:]
    return answer + b"".join(struct.pack(">hhh", *one) for one in more)


async def login(reader, writer, inner):
    """Goes on until somebody is let in; whoever is not is told why."""
    conversation = None
    while True:
        request = await frame(reader)
        key, version, number, length = struct.unpack_from(">hhih", request)
        body = request[10 + max(length, 0) :]
        answer = struct.pack(">i", number)
        if key == API_VERSIONS:
            send(writer, answer + await versions(request, version, inner))
        elif key == HANDSHAKE and version == 1:
            named = body[2:].decode()
            known = named in told["mechanisms"]
            answer += struct.pack(">hi", 0 if known else UNSUPPORTED_MECHANISM, len(told["mechanisms"]))
            send(writer, answer + b"".join(map(text, told["mechanisms"])))
            if not known:
                raise Refused(f"{named} is not offered")
            conversation = MECHANISMS[named]()
            next(conversation)
        elif key == AUTHENTICATE and conversation:
            life = struct.pack(">q", 0) if version > 0 else b""
            try:
                said, is_over = conversation.send(body[4:]), False
            except StopIteration as last:
                said, is_over = last.value, True
            except Refused as why:
                answer += struct.pack(">h", AUTHENTICATION_FAILED) + text(str(why))
                send(writer, answer + struct.pack(">i", 0) + life)
                raise
            send(writer, answer + struct.pack(">hhi", 0, -1, len(said)) + said + life)
            if is_over:
                return
        else:
            raise Refused(f"request {key} before the login")


async def carry(reader, writer, change=lambda message: message):
    while True:
        send(writer, change(await frame(reader)))
        await writer.drain()


def place(port):
    return b"127.0.0.1" + struct.pack(">i", port)


def through_doors(message):
    for behind, door in doors.items():
        message = message.replace(place(behind), place(door))
    return message


async def knock(behind, reader, writer):
    inner = await asyncio.open_connection("127.0.0.1", behind)
    inside.add(writer)
    try:
        if told["mechanisms"]:
            await login(reader, writer, inner)
        both = carry(reader, inner[1]), carry(inner[0], writer, through_doors)
        await asyncio.gather(*both)
    except (Refused, OSError, EOFError):
        pass
    finally:
        inside.discard(writer)
        inner[1].close()
        writer.close()


def hang_up():
    for writer in inside:
        writer.transport.abort()


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, hang_up)
    servers = []
    for behind in told["brokers"]:
        enter = functools.partial(knock, behind)
        servers.append(await asyncio.start_server(enter, "127.0.0.1", 0, ssl=context))
        doors[behind] = servers[-1].sockets[0].getsockname()[1]
    print(",".join(f"127.0.0.1:{door}" for door in doors.values()), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


doors = {}
inside = set()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(told["certificate"], told["key"])
asyncio.run(main())
