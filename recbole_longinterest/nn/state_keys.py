"""Names of the network's tensors in a state dict, as checkpoints and exports keep them.

The names are part of the file formats: do not change one without a new format version.
"""

ID_EMBEDDING = "item_encoder.id_embedding.weight"  # [N, D], absent without id_features
TEXT_VECTORS = "item_text.vectors"  # [N, text_dim], absent without text_features
HAS_TEXT = "item_text.has_text"  # bool [N]
TEXT_MEAN = "item_text.mean"  # [encoder_dim]
TEXT_PROJECTION = "item_text.projection"  # whitening, [encoder_dim, text_dim]
TRAINED = "trained"  # items whose ID embedding was trained, bool [N]
RATING_VALUES = "rating_values"  # levels of the ratings, absent without rating_features
BEHAVIOR_LEVELS = "fusion.levels.behavior.weight"  # absent without behaviours
TIME_LEVELS = "fusion.levels.time.weight"  # absent without time_features
LOG_SCALE = "log_scale"  # of cosine logits, absent for dot products
REPEAT_BIAS = "repeat_bias"  # absent with repeat_bias: off

# Prefixes of the parameters from the history's encoding to the score.
HEAD = ("interest_encoder.query.", "interest_encoder.block.", LOG_SCALE, REPEAT_BIAS)
