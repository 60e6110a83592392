"""Key pairs of v1a signatures, against the vectors of the specification's reference sender."""

from __future__ import annotations

import pytest

from egress.asymmetric_key import PrivateKey, PublicKey
from pipeline.errors import InvalidRequest

PRIVATE = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNED = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
ITEM = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)


def test_the_vector_is_reproduced() -> None:
    """The known key signs the known bytes to the known item, and shows the known public half."""
    key = PrivateKey.parse(PRIVATE)

    assert key.signature(SIGNED) == ITEM
    assert key.public.to_text() == PUBLIC
    assert PublicKey.parse(PUBLIC).verifies(SIGNED, ITEM)


def test_a_new_key_survives_its_text() -> None:
    """Stored and parsed, it signs the same, and only its own public half verifies that."""
    key, other = PrivateKey.generate(), PrivateKey.generate()
    again = PrivateKey.parse(key.to_text())

    assert again.signature(SIGNED) == key.signature(SIGNED)
    assert key.public.verifies(SIGNED, again.signature(SIGNED))
    assert not other.public.verifies(SIGNED, again.signature(SIGNED))


@pytest.mark.parametrize(
    "item", ["", "v1a", "v1a,", "v1a,!!", "v1a,AAAA", ITEM.replace("v1a", "v1"), ITEM + "A", "é,é"]
)
def test_another_item_is_no_proof(item: str) -> None:
    """Whatever stands there, the answer is no and never an error."""
    assert not PublicKey.parse(PUBLIC).verifies(SIGNED, item)


@pytest.mark.parametrize(
    "text",
    ["", "whsk_", "whsk_!", "whsk_AAAA", PUBLIC, PRIVATE, PRIVATE[5:]],
)
def test_another_text_is_refused_without_echo(text: str) -> None:
    """What is no private key is refused, and the message does not repeat it."""
    wrong = text.replace("VKIDi", "VKIDj")
    with pytest.raises(InvalidRequest) as refused:
        PrivateKey.parse(wrong)

    assert len(wrong) < 6 or wrong not in str(refused.value)
    assert refused.value.__cause__ is None
