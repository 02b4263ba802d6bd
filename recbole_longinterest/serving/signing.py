"""Sign manifests with Ed25519 keys, to prove who exported a model.

Keys are PEM files, for example from openssl::

    openssl genpkey -algorithm ed25519 -out key.pem
    openssl pkey -in key.pem -pubout -out key.pub.pem
"""

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TrustedKey: TypeAlias = str | Path | bytes
"""A public key: a PEM file's path, or its content."""


class SignatureError(LongInterestError):
    """A signature that does not match the trusted key, or a key that cannot be used."""


def signature_of(content: bytes, key: str | Path) -> bytes:
    """Sign bytes.

    Args:
        content: the bytes to sign.
        key: PEM file of an Ed25519 private key without a password.

    Returns:
        The signature in base64, with a newline.

    Raises:
        SignatureError: for a key that cannot be read.
        MissingPackage: if cryptography is not installed.
    """
    return base64.b64encode(_private_key(key).sign(content)) + b"\n"


def check_signature(content: bytes, signature: bytes, key: TrustedKey, what: object) -> None:
    """Verify a signature.

    Args:
        content: the signed bytes.
        signature: from :func:`signature_of`.
        key: public key in PEM, or the path of its file.
        what: what was signed, for the error message.

    Raises:
        SignatureError: for an invalid signature, or a key that cannot be read.
        MissingPackage: if cryptography is not installed.
    """
    public = _public_key(key)
    from cryptography.exceptions import InvalidSignature  # late: an extra

    try:
        given = base64.b64decode(signature.strip(), validate=True)
        if base64.b64encode(given) + b"\n" != signature:  # base64 has several encodings of the same bytes
            raise InvalidSignature
        public.verify(given, content)
    except (InvalidSignature, binascii.Error) as error:
        raise SignatureError(
            f"{what} was not signed by the trusted key, or was changed since. Ask who exported it, or give the key "
            "that signed it."
        ) from error


def _private_key(key: str | Path) -> "Ed25519PrivateKey":
    require("cryptography", "Signing an export")
    # late: an extra
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        loaded = load_pem_private_key(Path(key).read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{key} is not a PEM file of a private key without a password: {error}") from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise SignatureError(f"{key} must be an Ed25519 key: openssl genpkey -algorithm ed25519 -out {key}")
    return loaded


def _public_key(key: TrustedKey) -> "Ed25519PublicKey":
    require("cryptography", "Checking a signature")
    # late: an extra
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    given = key.encode() if isinstance(key, str) and key.lstrip().startswith("-----BEGIN") else key
    name = "trusted_key" if isinstance(given, bytes) else given
    try:
        loaded = load_pem_public_key(given if isinstance(given, bytes) else Path(given).read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(
            f"{name} is not a public key in PEM, as written by openssl pkey -in key.pem -pubout: {error}"
        ) from error
    if not isinstance(loaded, Ed25519PublicKey):
        raise SignatureError(f"{name} must be an Ed25519 key; got {type(loaded).__name__}.")
    return loaded
