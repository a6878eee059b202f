"""What of a certificate's files is given to Envoy."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from agent.config.sections.gateway import Tls
from agent.proxy import certificates
from tests.integration.proxy_plan.pki import Authority


def tls(folder: Path, **more: str) -> Tls:
    """Settings with a good certificate."""
    chain, key = Authority().issue(folder)
    return msgspec.convert({"certificate": str(chain), "key": str(key), **more}, Tls)


def test_a_pair_is_read_as_it_stands(tmp_path: Path) -> None:
    """And its key is in no text that anybody could write into a log."""
    given = tls(tmp_path)
    found = certificates.read(given)
    certificates.judge(given, found)
    assert (found.chain, found.key) == (Path(given.certificate).read_bytes(), Path(given.key).read_bytes())
    assert "PRIVATE" not in repr(found)
    assert "PRIVATE" not in f"{found}"


def test_what_does_not_belong_together_is_refused_with_the_names_of_the_files(tmp_path: Path) -> None:
    given = tls(tmp_path)
    _, other = Authority().issue(tmp_path / "other")
    for content in (other.read_bytes(), b"", b"no pem", Path(given.certificate).read_bytes()):
        Path(given.key).write_bytes(content)
        with pytest.raises(ValueError, match="are no certificate and its key") as refused:
            certificates.judge(given, certificates.read(given))
        assert given.key in str(refused.value)
        assert "PRIVATE" not in str(refused.value)


def test_a_key_with_a_passphrase_is_refused_instead_of_asking_for_it(tmp_path: Path) -> None:
    given = tls(tmp_path)
    key = serialization.load_pem_private_key(Path(given.key).read_bytes(), None)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    Path(given.key).write_bytes(key.private_bytes(*form, serialization.BestAvailableEncryption(b"x")))
    with pytest.raises(ValueError, match="passphrase"):
        certificates.judge(given, certificates.read(given))


@pytest.mark.parametrize("content", ["", "no pem", "\u00e4"])
def test_authorities_are_certificates(tmp_path: Path, content: str) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(content, encoding="utf-8")
    given = tls(tmp_path, client_ca=str(ca))
    with pytest.raises(ValueError, match="holds no certificates"):
        certificates.judge(given, certificates.read(given))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    given = tls(tmp_path)
    Path(given.key).unlink()
    with pytest.raises(OSError, match=given.key):
        certificates.read(given)
