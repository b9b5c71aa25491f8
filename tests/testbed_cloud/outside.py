"""An outside client: HTTP and MQTT by hand, from the contract, sharing nothing with the cloud's code."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PRODUCT = "L4WG9V9M2M"
PRODUCT_SECRET = "XoezQjzzMedF4lAr2CqCkVYK"
SECRET = base64.b64encode(b"0123456789abcdef").decode()
PATIENCE = 10.0
"""Seconds after which a test gives up; no test depends on how long something takes below that."""


def device(name="dev1", **more):
    entry = {"productId": PRODUCT, "productSecret": PRODUCT_SECRET, "deviceName": name, "region": "china"}
    if more.get("auth_mode") != "CERT":
        entry["key_deviceinfo"] = {"deviceSecret": more.pop("secret", SECRET)}
    return entry | more


async def open_url(url, context=None):
    parts = urlsplit(url)
    tls = {"ssl": context, "server_hostname": parts.hostname} if context else {}
    async with asyncio.timeout(PATIENCE):
        return await asyncio.open_connection(parts.hostname, parts.port, **tls)


async def exchange(url, octets, context=None):
    """Send octets, and read until the other side closes."""
    reader, writer = await open_url(url, context)
    try:
        writer.write(octets)
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.transport.abort()


def request(path, body, *, method="POST", headers=()):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost:80", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


async def post(url, path, body, *, context=None, headers=()):
    """POST and give (status, header lines, body)."""
    answer = await exchange(url, request(path, body, headers=headers), context)
    head, _, rest = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), lines[1:], rest


async def call(url, action, **params):
    """One action of the application; gives Data, or the Error's code as text."""
    status, _, body = await post(url, "/app", {"Action": action, "RequestId": "r1", **params})
    answer = json.loads(body)["Response"]
    assert status == 200
    return answer["Data"] if "Data" in answer else answer["Error"]["Code"]


def dynreg_body(
    name="dev1", *, product=PRODUCT, secret=PRODUCT_SECRET, nonce=1005258070, timestamp=1611299964
):
    text = f"deviceName={name}&nonce={nonce}&productId={product}&timestamp={timestamp}"
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).hexdigest()
    return {
        "deviceName": name,
        "nonce": nonce,
        "productId": product,
        "timestamp": timestamp,
        "signature": base64.b64encode(digest.encode()).decode(),
    }


def decrypt(payload, length, secret=PRODUCT_SECRET):
    cipher = Cipher(algorithms.AES(secret.encode()[:16]), modes.CBC(b"0" * 16)).decryptor()
    plain = cipher.update(base64.b64decode(payload)) + cipher.finalize()
    assert plain[length:].strip(b"\0") == b""
    return json.loads(plain[:length])


async def register(url, name="dev1", **options):
    """Dynamic registration as the C SDK does it; gives the decrypted identity or the refusal's code."""
    _, _, body = await post(url, "/register/dev", dynreg_body(name, **options))
    answer = json.loads(body)
    if answer["code"]:
        return answer["code"]
    return decrypt(answer["payload"], answer["len"], options.get("secret", PRODUCT_SECRET))


def user_name(client_id, expiry=92233720368547758):
    return f"{client_id};21010406;aB3dE;{expiry}"


def password(secret, user, method="sha1"):
    sign = hmac.new(base64.b64decode(secret), user.encode(), method).hexdigest()
    return f"{sign};hmac{method}"


def _string(value):
    data = value if isinstance(value, bytes) else value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(first, body):
    length, octets = len(body), b""
    while True:
        length, low = divmod(length, 128)
        octets += bytes([low | (0x80 if length else 0)])
        if not length:
            return bytes([first]) + octets + body


def connect_packet(
    client_id, user=None, secret_text=None, *, level=4, keep_alive=240, name="MQTT", will=None
):
    flags = 0x02 | (0x80 if user is not None else 0) | (0x40 if secret_text is not None else 0)
    flags |= 0x04 if will else 0
    body = _string(name) + bytes([level, flags]) + keep_alive.to_bytes(2, "big") + _string(client_id)
    for part in (*(will or ()), user, secret_text):
        if part is not None:
            body += _string(part)
    return packet(0x10, body)


class Mqtt:
    """A device's MQTT connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url, context=None):
        return cls(*await open_url(url, context))

    @classmethod
    async def login(cls, url, name="dev1", *, secret=SECRET, product=PRODUCT, context=None, method="sha1"):
        """Connect as a device does; CONNACK must be 0."""
        client = await cls.open(url, context)
        user = user_name(product + name)
        client.send(connect_packet(product + name, user, password(secret, user, method)))
        assert await client.read() == (0x20, b"\0\0")
        return client

    def send(self, octets):
        self.writer.write(octets)

    async def read(self):
        """The next packet as (first octet, body); None where the connection has ended."""
        try:
            async with asyncio.timeout(PATIENCE):
                first = (await self.reader.readexactly(1))[0]
                length = shift = 0
                while True:
                    octet = (await self.reader.readexactly(1))[0]
                    length |= (octet & 0x7F) << shift
                    shift += 7
                    if not octet & 0x80:
                        return first, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def subscribe(self, *topics, packet_id=7):
        """Subscribe with QoS 0; gives the return codes."""
        body = packet_id.to_bytes(2, "big") + b"".join(_string(topic) + b"\0" for topic in topics)
        self.send(packet(0x82, body))
        answer = await self.read()
        if answer is None:
            return None
        assert (answer[0], answer[1][:2]) == (0x90, packet_id.to_bytes(2, "big"))
        return list(answer[1][2:])

    def publish(self, topic, message, *, packet_id=None):
        """QoS 1 with a packet id, else QoS 0."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        identifier = packet_id.to_bytes(2, "big") if packet_id else b""
        self.send(packet(0x32 if packet_id else 0x30, _string(topic) + identifier + payload))

    async def message(self):
        """The next packet, which must be a message: (topic, payload)."""
        found = await self.read()
        assert found is not None, "connection ended"
        first, body = found
        assert first == 0x30, hex(first)
        length = int.from_bytes(body[:2], "big")
        return body[2 : 2 + length].decode(), body[2 + length :]

    async def answer(self):
        """The next message's JSON."""
        return json.loads((await self.message())[1])

    async def alive(self):
        """True where a PINGREQ is the next thing answered, so that nothing else was on its way."""
        self.send(b"\xc0\0")
        return await self.read() == (0xD0, b"")

    async def close(self):
        self.send(b"\xe0\0")
        await self.abort()

    async def abort(self):
        self.writer.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.writer.wait_closed()
        except OSError:
            pass


def bind_message(token, client_token="dev1-123"):
    return {"method": "app_bind_token", "clientToken": client_token, "params": {"token": token}}


def service(way, name="dev1", product=PRODUCT):
    return f"$thing/{way}/service/{product}/{name}"


def prop(way, name="dev1", product=PRODUCT):
    return f"$thing/{way}/property/{product}/{name}"


def trust(ca_file, chain=None):
    context = ssl.create_default_context(cafile=str(ca_file))
    if chain:
        context.load_cert_chain(*chain)
    return context


def soon():
    return int(time.time()) + 3600
