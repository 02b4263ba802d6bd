"""Models with texts, counts and untrained items, for tests of strategies."""

import torch

from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.state_keys import TEXT, TRAINED, item_key
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.served import Served
from tests.served import OPTIONS, SPECS, random_events, random_served

N = 60
TEXT_DIM = 8
NEW = 50  # items i50 to i59 were not trained


def model_with_texts() -> Recommender:
    """Sixty items; i0's text is that of i1, i2's that of i3, and so on; i40 to i44 have none; i0 is most popular."""
    served = random_served(n_items=N)
    network = InterestNetwork()
    network.build(OPTIONS, Sources(N + 1, items={TEXT: TEXT_DIM}, events=SPECS))
    weights = network.state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, value in weights.items():
        if value.is_floating_point():
            weights[name] = torch.randn(value.shape, generator=generator) * 0.3
    texts = torch.randn(N // 2, TEXT_DIM, generator=generator).repeat_interleave(2, dim=0)
    vectors = torch.cat([torch.zeros(1, TEXT_DIM), texts])
    vectors[41:46] = 0
    weights[item_key(TEXT, "vectors")] = vectors
    weights[item_key(TEXT, "present")] = vectors.norm(dim=1) > 0
    trained = torch.ones(N + 1, dtype=weights[TRAINED].dtype)
    trained[NEW + 1 :] = 0
    weights[TRAINED] = trained
    items = served.items
    items.recent = [0, *range(N, 0, -1)]
    return Recommender(
        Served(
            options=OPTIONS,
            weights=weights,
            items=items,
            sources=SPECS,
            history_limit=None,
            fields=served.fields,
        )
    )


def events_of(number: int, seed: int = 0) -> list[Event]:
    return random_events(number, seed, N)
