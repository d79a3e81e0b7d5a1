"""News are signed as Standard Webhooks says, and reach no network that only the server can reach."""

import base64
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.service.jobs.receiving import receiver

from shoptalk.core.errors import EncryptionKeyError
from shoptalk.service.jobs import targets, webhooks
from shoptalk.service.jobs.targets import TargetError, Targets
from shoptalk.service.problems import Problem


def test_the_signature_is_that_of_the_standard() -> None:
    """The example in its own text and its reference libraries."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    told = webhooks.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("content", ["", "whsec_", "whsec_!!", "whsec_" + base64.b64encode(bytes(23)).decode(), "ä"])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    path.write_text(content)
    with pytest.raises(EncryptionKeyError, match="openssl"):
        webhooks.read_secret(path)
    path.write_text("whsec_" + base64.b64encode(bytes(24)).decode() + "\n")
    assert webhooks.read_secret(path) == bytes(24)


PRIVATE = (
    "127.0.0.1 127.8.8.8 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 255.255.255.255 "
    "192.0.2.1 198.18.0.1 ::1 :: fe80::1 fe80::1%eth0 fd00:ec2::254 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 "
    "2002:7f00:1:: 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2001:db8::1"
).split()


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused_whatever_name_means_them(address: str) -> None:
    own = Targets((), resolve=lambda host, port: ["93.184.215.14", address])
    with pytest.raises(Problem, match="private network"):
        own.check("https://news.example.org/")
    with pytest.raises(TargetError):
        own.post("https://news.example.org/", b"", {})


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_are_reached_by_https_alone(address: str) -> None:
    own = Targets((), resolve=lambda host, port: [address])
    own.check("https://news.example.org/")
    with pytest.raises(Problem, match="https://"):
        own.check("http://news.example.org/")


def test_networks_that_are_allowed_are_reached_and_no_others() -> None:
    own = Targets(("10.1.0.0/16", "fd00::/8"), resolve=lambda host, port: [host])
    for url in ("http://10.1.2.3/", "https://10.1.2.3:8443/", "http://[fd00::1]/", "https://[::ffff:10.1.2.3]/"):
        own.check(url)
    for url in ("http://10.2.0.1/", "http://127.0.0.1/", "http://[fe80::1]/"):
        with pytest.raises(Problem):
            own.check(url)


def test_a_name_that_means_another_address_later_is_checked_again() -> None:
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    own = Targets((), resolve=lambda host, port: next(answers))
    own.check("https://rebinding.example.org/")
    with pytest.raises(TargetError):
        own.post("https://rebinding.example.org/", b"", {})


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    with receiver() as news:
        port = int(news.url.partition("127.0.0.1:")[2].partition("/")[0])
        own = Targets(("127.0.0.0/8",), resolve=lambda host, port: ["127.0.0.1"])
        headers = {"webhook-id": "x", "webhook-timestamp": "1"}
        headers["webhook-signature"] = webhooks.signature(bytes(range(32)), "x", 1, b"{}")
        assert own.post(f"http://no.such.name.invalid:{port}/news", b"{}", headers) == 204
        news.statuses = [307]
        assert own.post(f"http://no.such.name.invalid:{port}/", b"{}", headers) == 307  # which is not followed


def test_a_name_that_nobody_knows_is_left_to_later() -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror

    Targets((), resolve=resolve).check("https://new.example.org/")
    with pytest.raises(OSError):
        Targets((), resolve=resolve).post("https://new.example.org/", b"", {})


def certificate(folder: Path) -> Path:
    """Of 127.0.0.1, which nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "news")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    named = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    signed = made.add_extension(named, critical=False).sign(key, hashes.SHA256())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "news.pem"
    path.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("is_trusted", [True, False])
def test_the_certificate_of_a_target_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    path = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            plain, _ = listening.accept()
            with plain:
                try:
                    with context.wrap_socket(plain, server_side=True) as tls:
                        tls.recv(4096)
                        tls.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                except (ssl.SSLError, ConnectionError):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        if is_trusted:
            monkeypatch.setattr(targets, "_tls", lambda: ssl.create_default_context(cafile=str(path)))
        own = Targets(("127.0.0.0/8",))
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        if is_trusted:
            assert own.post(url, b"{}", {}) == 204
        else:
            with pytest.raises(OSError):
                own.post(url, b"{}", {})
        thread.join()


def test_a_target_that_answers_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "TIMEOUT_S", 0.3)
    ends = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            plain, _ = listening.accept()
            with plain:
                while not ends.wait(0.05):
                    try:
                        plain.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(OSError):
                Targets(("127.0.0.0/8",)).post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"", {})
        finally:
            ends.set()
            thread.join()
