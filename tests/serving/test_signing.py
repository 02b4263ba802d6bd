"""Signed exports: only the trusted key's are loaded where a key is given."""

from pathlib import Path

import pytest

from recbole_longinterest.cli.main import main
from recbole_longinterest.serving.manifest import MANIFEST, SIGNATURE, ExportError
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.signing import SignatureError
from tests.bit_flips import unnoticed
from tests.served import random_served

pytest.importorskip("cryptography")


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Files of a private key and of its public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, *form))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_a_signed_export_is_trusted_by_its_key_alone(tmp_path: Path) -> None:
    (private, public), (other, _) = make_keys(tmp_path, "ours"), make_keys(tmp_path, "theirs")
    write_folder(random_served(), tmp_path / "m", sign=private)
    for key in (public, str(public), public.read_bytes(), public.read_text()):
        assert Recommender.load(tmp_path / "m", trusted_key=key).n_items == 300
    assert Recommender.load(tmp_path / "m").n_items == 300  # without a key it is a folder like others
    write_folder(random_served(), tmp_path / "m", sign=other)
    with pytest.raises(SignatureError, match="was not signed by the trusted key, or was changed since"):
        Recommender.load(tmp_path / "m", trusted_key=public)
    write_folder(random_served(), tmp_path / "m")
    assert not (tmp_path / "m" / SIGNATURE).exists()
    with pytest.raises(ExportError, match="is not signed"):
        Recommender.load(tmp_path / "m", trusted_key=public)
    (tmp_path / "m" / MANIFEST).unlink()
    with pytest.raises(ExportError, match=r"has no manifest\.json, so it is not signed"):
        Recommender.load(tmp_path / "m", trusted_key=public)


def test_every_bit_of_a_signature_and_what_is_signed_counts(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path, "ours")
    write_folder(random_served(), tmp_path / "m", sign=private)

    def load() -> object:
        return Recommender.load(tmp_path / "m", trusted_key=public)

    load()
    for name in (MANIFEST, SIGNATURE):
        assert unnoticed(tmp_path / "m" / name, load) == []


def test_keys_that_are_none_are_one_sentence(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path, "ours")
    write_folder(random_served(), tmp_path / "m", sign=private)
    (tmp_path / "text").write_text("no key")
    for key in (tmp_path / "text", tmp_path / "none", b"no key", private):
        with pytest.raises(SignatureError, match="is not a public key in PEM"):
            Recommender.load(tmp_path / "m", trusted_key=key)
    for key in (tmp_path / "text", tmp_path / "none", public):
        with pytest.raises(SignatureError, match="is not a PEM file of a private key"):
            write_folder(random_served(), tmp_path / "new", sign=key)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    curve = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "ec").write_bytes(curve.private_bytes(serialization.Encoding.PEM, *form))
    with pytest.raises(SignatureError, match="must be an Ed25519 key"):
        write_folder(random_served(), tmp_path / "new", sign=tmp_path / "ec")


def test_the_commands_sign_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (private, public), (_, other) = make_keys(tmp_path, "ours"), make_keys(tmp_path, "theirs")
    folder = tmp_path / "m"
    write_folder(random_served(), folder, sign=private)
    assert main(["verify", str(folder), "--trusted-key", str(public)]) == 0
    assert "signed: by the trusted key" in capsys.readouterr().out
    assert main(["verify", str(folder)]) == 0
    assert "signed: not checked, give --trusted-key" in capsys.readouterr().out
    assert main(["verify", str(folder), "--trusted-key", str(other)]) == 1
    assert "was not signed by the trusted key" in capsys.readouterr().out
